-- KEYS: tasks, then the state and the log of each session. ARGV, for each: session, who thinks to own it, its last command that was
-- answered, the last entry that it read, and how much its client took. Returns a word for each.
local function later(a, b)
  local ams, an, bms, bn = string.match(a .. ' ' .. b, '(%d+)-(%d+) (%d+)-(%d+)')
  if ams ~= bms then return tonumber(ams) > tonumber(bms) end
  return tonumber(an) > tonumber(bn)
end

-- Whether the server has lost what this owner did or read. It may have read more by now, and trimmed the log.
local function went_back(s, answered, read)
  local at = get(s, 'op', 'covers')
  if tonumber(at[1]) < tonumber(answered) then return true end
  return #redis.call('XRANGE', s.log, read, read) == 0 and not (at[2] and later(at[2], read))
end

local words = {}
for i = 1, #ARGV / 5 do
  local s = { id = ARGV[5 * i - 4], state = KEYS[2 * i], log = KEYS[2 * i + 1] }
  local owner, answered, read, taken = ARGV[5 * i - 3], ARGV[5 * i - 2], ARGV[5 * i - 1], ARGV[5 * i]
  local at = get(s, 'owner', 'ttl', 'taken', 'worker')
  if not at[1] then
    words[i] = 'gone'
  elseif at[1] ~= owner then
    words[i] = 'fenced'
  elseif went_back(s, answered, read) then
    -- What this owner told its client is not true here any more, so the session can't go on.
    forget(s)
    words[i] = 'gone'
  else
    redis.call('PEXPIRE', s.state, at[2])
    redis.call('PEXPIRE', s.log, at[2])
    if tonumber(taken) > tonumber(at[3] or 0) then
      redis.call('HSET', s.state, 'taken', taken)
      tell(at[4], s)
    end
    words[i] = 'ok'
  end
end
return words
