import asyncio
async def test_loop(): print(type(asyncio.get_running_loop()))
