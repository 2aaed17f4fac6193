-- KEYS: tasks. Returns how many wait, and how many a worker has.
local idle = waiting()
return { idle, redis.call('XLEN', tasks) - idle }
