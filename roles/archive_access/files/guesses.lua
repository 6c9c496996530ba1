-- SPDX-License-Identifier: GPL-3.0-or-later
-- How many wrong passwords, and how many logins at the same time, reach a Kerio server; for kerio.lua, which loads it with what is
-- in servers.lua and addresses.lua. begin and settle go round each question to a server, enter round all of a login.

local SETTINGS, addresses = ...
local socket = require "socket"
local GUESSES = SETTINGS.guesses

local function shared(address)
  for _, network in ipairs(SETTINGS.trusted_networks) do
    if addresses.within(address, network) then return true end
  end
  return false
end

-- Whoever has an IPv6 address has 2^64 of them.
local function source_of(address)
  local own = addresses.bits(address)
  if not own then return "unknown" end
  if #own == 32 then return address end
  return "v6-" .. own:sub(1, 64):gsub("....", function(four) return ("%x"):format(tonumber(four, 2)) end)
end

-- Several processes count at the same time, without a lock: files are only ever added to, an attempt is noted BEFORE the server
-- is asked, and it goes on only if the count that follows, of all that was noted by then, is within the limit. No more than the
-- limit can be under way or answered wrongly. Time is cut into slots, and two slots count: any `window` seconds lie within two.
-- (The next one may have begun elsewhere.)

local function append(path, text)
  local file, why = io.open(path, "a")
  if not file then error(why, 0) end
  local written = file:write(text)
  -- A full disk shows at the end.
  if not (file:close() and written) then error(path .. ": cannot be written", 0) end
end

-- nil if there is no such file. Another error must not pass for "nothing was counted".
local function open(path)
  local file, why, number = io.open(path, "r")
  if not file and number ~= 2 then error(why, 0) end
  return file
end

local function size(path)
  local file = open(path)
  if not file then return 0 end
  local length = file:seek "end"
  file:close()
  return length
end

-- Names may be long and hold anything; two that are the same in their first bytes are counted together.
local function path(kind, key, slot)
  local name = key:gsub("[^%w@._-]", function(byte) return ("%%%02X"):format(byte:byte()) end)
  return ("%s/%s.%s.%d"):format(GUESSES.directory, kind, name:sub(1, 200), slot)
end

-- A source or a server: a byte in one file for each attempt, in another for each that was taken back, in a third for wrong ones.
-- Returns the count of what is under way or wrong, and of what is wrong.
local function outstanding(kind, key, slot)
  local count, wrong = 0, 0
  for number = slot - 1, slot + 1 do
    local name = path(kind, key, number)
    local back = size(name .. "-") -- before the others: an attempt may be counted too often, never too seldom
    count, wrong = count + size(name .. "+") - back, wrong + size(name .. "!")
  end
  return count, wrong
end

-- An account: a line for each event. "+id source" is an attempt, "-id" takes it back, "!id" says that it was wrong, "= source" is
-- a right password, which takes back all from there; what others guess elsewhere is not forgotten by it.
local function attempts_of_account(account, slot)
  local attempts = {}
  for number = slot - 1, slot + 1 do
    local file = open(path("account", account, number))
    for line in file and file:lines() or function() end do
      local sign, id, source = line:match "^([+=!-])(%x*) ?(.*)$"
      if sign == "+" then attempts[id] = { source = source } end
      for other, attempt in pairs(attempts) do
        attempt.wrong = attempt.wrong or (sign == "!" and other == id)
        if (sign == "-" and other == id) or (sign == "=" and attempt.source == source) then attempts[other] = nil end
      end
    end
    if file then file:close() end
  end
  return attempts
end

-- Which limit would not hold with `more` attempts more, and whether those are enough that were answered wrongly; nil if all hold.
local function exceeded(attempt, more)
  local all, wrong, all_here, wrong_here = 0, 0, 0, 0
  for _, other in pairs(attempts_of_account(attempt.account, attempt.slot)) do
    local here, failed = other.source == attempt.source and 1 or 0, other.wrong and 1 or 0
    all, wrong, all_here, wrong_here = all + 1, wrong + failed, all_here + here, wrong_here + here * failed
  end
  local counts = { account_and_source = { all_here, wrong_here }, account = { all, wrong } }
  counts.source = attempt.shared and { 0, 0 } or { outstanding("source", attempt.source, attempt.slot) }
  counts.server = { outstanding("server", attempt.server, attempt.slot) }
  for _, name in ipairs { "account_and_source", "account", "source", "server" } do
    local limit, count = GUESSES[name], counts[name]
    if limit > 0 and count[1] + more > limit then return name, count[2] >= limit end
  end
end

local function note(attempt, sign)
  append(path("source", attempt.source, attempt.slot) .. sign, sign)
  append(path("server", attempt.server, attempt.slot) .. sign, sign)
end

local function note_of_account(attempt, line)
  append(path("account", attempt.account, attempt.slot), line .. "\n")
end

-- How the account's line begins, and the sign for the others. Kerio may have counted what it did not answer against the account.
local SETTLED = {
  right = { "=", "-" }, wrong = { "!", "!" }, temporary = { "-", "-" }, unclear = { "!", "-" }, unsent = { "-", "-" },
}

local function settle(attempt, outcome)
  local line, sign = table.unpack(SETTLED[outcome])
  note_of_account(attempt, line .. (line == "=" and " " .. attempt.source or attempt.id))
  note(attempt, sign)
end

local function sweep()
  local command = ("/usr/bin/find '%s' -type f -mmin +%d -delete"):format(GUESSES.directory, 3 * GUESSES.window // 60 + 1)
  if not os.execute(command) then dovecot.i_warning("kerio: old files cannot be removed from " .. GUESSES.directory) end
end

-- Returns the attempt; or nil, the limit that would be passed, and whether that is so by wrong answers alone.
local function try(attempt)
  attempt.slot = os.time() // GUESSES.window
  local limit, wrong = exceeded(attempt, 1) -- so that what is refused makes no file longer
  if limit then return nil, limit, wrong end
  note_of_account(attempt, ("+%s %s"):format(attempt.id, attempt.source))
  note(attempt, "+")
  limit, wrong = exceeded(attempt, 0)
  if limit then
    settle(attempt, "unsent")
    return nil, limit, wrong
  end
  if size(path("server", attempt.server, attempt.slot) .. "+") == 1 then sweep() end
  return attempt
end

-- As try, but waits for attempts that are under way: a mail client opens several connections with the same right password.
local function begin(server, login, address)
  local ends = socket.gettime() + SETTINGS.timeout
  while true do
    local attempt = { server = server, account = server .. "~" .. login, source = source_of(address), shared = shared(address) }
    attempt.id = ("%016x"):format(math.random(0)) -- Lua 5.4 seeds every process anew
    local begun, limit, wrong = try(attempt)
    if begun or wrong or socket.gettime() > ends then return begun, limit, wrong end
    socket.sleep(0.02 + math.random() / 20)
  end
end

-- Logins under way at one server, those that wait among them, so that a server that hangs leaves processes for people of others.
-- Counted as above, but in slots as long as a login may take at most: what a process noted that died is forgotten soon.
local LONGEST = 2 * SETTINGS.timeout + 2

-- Returns what to call at the end; nil if there are too many, and go on to be.
local function enter(server)
  local ends = socket.gettime() + 1
  while true do
    local slot = os.time() // LONGEST
    local name = path("busy", server, slot)
    if outstanding("busy", server, slot) < SETTINGS.at_once then
      append(name .. "+", "+")
      local function leave() append(name .. "-", "-") end
      if outstanding("busy", server, slot) <= SETTINGS.at_once then return leave end
      leave()
    end
    if socket.gettime() > ends then return nil end
    socket.sleep(0.02 + math.random() / 20)
  end
end

return { begin = begin, settle = settle, enter = enter }
