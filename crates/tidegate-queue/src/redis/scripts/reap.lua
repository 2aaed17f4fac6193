-- KEYS: tasks. ARGV: lease in ms, attempts, where to go on. Returns where to go on next.
local lease, attempts, from = ARGV[1], ARGV[2], ARGV[3]
local claimed = redis.pcall('XAUTOCLAIM', tasks, group, group, lease, from, 'COUNT', 64, 'JUSTID')
if claimed.err then return '0-0' end
for _, entry in ipairs(claimed[2]) do
  local fields = redis.call('XRANGE', tasks, entry, entry)[1][2]
  local s = { id = fields[2], state = 'tidegate:{queue}:session:' .. fields[2], log = 'tidegate:{queue}:log:' .. fields[2] }
  local at = get(s, 'task', 'entry')
  if at[1] == fields[4] and at[2] == entry then recover(s, attempts) else unqueue(entry) end
end
return claimed[1]
