-- KEYS: tasks, then the state and the log of each session. ARGV: of each session the epoch of who thinks to own it. Returns a word for each.
local words = {}
for i, epoch in ipairs(ARGV) do
  local state, log = KEYS[2 * i], KEYS[2 * i + 1]
  local at = redis.call('HMGET', state, 'epoch', 'ttl')
  if not at[1] then
    words[i] = 'gone'
  elseif at[1] ~= epoch then
    words[i] = 'fenced'
  else
    redis.call('PEXPIRE', state, at[2])
    redis.call('PEXPIRE', log, at[2])
    words[i] = 'ok'
  end
end
return words
