"""The mail desk (`type: mail`): each step of a case is one message in one thread.

Mail cannot be searched, and a connection that breaks after the message was sent leaves it open whether it arrived. So every step has a Message-ID
made of its id and nothing else, and a step sent again is the same message: a receiver that compares Message-IDs sees one.
"""

from agent.ports import DeskPlugin
from exporters.tickets.mail.desk import open_desk
from exporters.tickets.mail.settings import MailSettings

PLUGIN = DeskPlugin(name="mail", settings=MailSettings, open=open_desk)
