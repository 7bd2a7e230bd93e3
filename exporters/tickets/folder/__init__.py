"""The folder desk (`type: folder`): one folder a ticket, readable by people and by programs, on this machine or on a share.

<path>/<case id>/ticket.txt     what people read: a dated section a step, in the order of the steps
<path>/<case id>/ticket.json    what programs read: state, fields, steps (docs/ticket-fields.md)
<path>/<case id>/attachments/   the evidence, under <first digits of SHA-256>-<name>
"""

from agent.ports import DeskPlugin
from exporters.tickets.folder.desk import FolderSettings, open_desk

PLUGIN = DeskPlugin(name="folder", settings=FolderSettings, open=open_desk)
