-- SPDX-License-Identifier: GPL-3.0-or-later
-- Asks a Kerio Connect server over IMAP whether a password is right: the second passdb of the archive's Dovecot (2.3, Lua 5.4).
-- The first one has let pass only those whom the archive knows. Beside this file: servers.lua (how servers are reached, how many
-- wrong answers are too many) and logins.lua (whom to ask about whom). No password is written anywhere.

local socket, ssl = require "socket", require "ssl"

local HERE = debug.getinfo(1, "S").source:match("^@(.*/)")

local function read(name)
  local chunk, why = loadfile(HERE .. name, "t", {})
  if not chunk then error(why, 0) end
  return chunk()
end

local SETTINGS = read "servers.lua"
local GUESSES = SETTINGS.guesses

-- An attempt is "right", "wrong" (the server said NO), "temporary" (it said that it could not tell), "unclear" (the password was
-- sent, and what came back is no answer) or "unsent" (the password was not sent).
local function stop(outcome, why)
  error({ outcome = outcome, why = why }, 0)
end

local function binary(number, width)
  local digits = {}
  for place = width - 1, 0, -1 do digits[#digits + 1] = number >> place & 1 end
  return table.concat(digits)
end

local function groups(text)
  local found = {}
  for group in text:gmatch "%x+" do found[#found + 1] = binary(tonumber(group, 16), 16) end
  return found -- 16 bits each
end

-- The bits of an IP address as a text of 0 and 1; nil for what is none.
local function bits(address)
  address = address:gsub("%%.*$", ""):gsub("^::[fF][fF][fF][fF]:(%d+%.)", "%1")
  local octets = { address:match "^(%d+)%.(%d+)%.(%d+)%.(%d+)$" }
  if octets[1] then
    for place, octet in ipairs(octets) do octets[place] = binary(tonumber(octet), 8) end
    return table.concat(octets)
  end
  if not address:find "^[%x:]*:[%x:]*$" then return nil end
  local head, tail = address:match "^(.-)::(.*)$"
  local first, last = groups(head or address), groups(tail or "")
  for _ = 1, 8 - #first - #last do first[#first + 1] = binary(0, 16) end
  local whole = table.concat(first) .. table.concat(last)
  return #whole == 128 and whole or nil
end

local function within(address, network)
  local base, length = network:match "^(.-)/(%d+)$"
  local own, wanted = bits(address), bits(base or network)
  local count = tonumber(length) or #(wanted or "")
  return own and wanted and #own == #wanted and own:sub(1, count) == wanted:sub(1, count)
end

local function shared(address)
  for _, network in ipairs(SETTINGS.trusted_networks) do
    if within(address, network) then return true end
  end
  return false
end

-- Whoever has an IPv6 address has 2^64 of them.
local function source_of(address)
  local own = bits(address)
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

local Link = {}
Link.__index = Link

function Link:fail(why)
  stop(self.sent and "unclear" or "unsent", why)
end

-- All of an attempt together may take so long.
function Link:hurry()
  local left = self.ends - socket.gettime()
  if left <= 0 then self:fail "timeout" end
  self.socket:settimeout(left, "t")
end

function Link:say(text)
  self:hurry()
  local done, why = self.socket:send(text)
  if not done then self:fail("the connection was lost: " .. tostring(why)) end
end

function Link:line()
  self:hurry()
  local line, why = self.socket:receive "*l"
  if not line then self:fail("no answer: " .. tostring(why)) end
  return line
end

-- The status and what follows, or "+"; and the lines before it.
function Link:reply(tag)
  local before = {}
  while true do
    local line = self:line()
    if line:sub(1, #tag + 1) == tag .. " " then return line:sub(#tag + 2), table.concat(before, "\n") end
    if line:sub(1, 1) == "+" then return "+", "" end
    if line:upper():find "^%* BYE" then self:fail("the server said: " .. line) end
    before[#before + 1] = line
  end
end

function Link:command(tag, text)
  self:say(tag .. " " .. text .. "\r\n")
  return self:reply(tag)
end

local function matches(name, host)
  name = name:lower():gsub("%.$", "")
  if name == host then return true end
  local rest = host:match "^[^.]+(%..+)$"
  return rest ~= nil and name == "*" .. rest and rest:find("%.", 2) ~= nil
end

-- LuaSec checks the chain and the dates, not whose certificate it is.
local function certifies(certificate, host)
  local address = bits(host)
  for _, extension in pairs(certificate:extensions() or {}) do
    if type(extension) == "table" then
      for _, name in ipairs(not address and extension.dNSName or {}) do
        if matches(name, host) then return true end
      end
      for _, name in ipairs(address and extension.iPAddress or {}) do
        if bits(name) == address then return true end
      end
    end
  end
  return false
end

function Link:encrypt(server)
  local options = { mode = "client", protocol = "any", options = { "all", "no_sslv2", "no_sslv3", "no_tlsv1", "no_tlsv1_1" } }
  options.verify = "none"
  if server.validate_certs then
    options.verify, options.cafile = { "peer", "fail_if_no_peer_cert" }, server.ca_file
  end
  local wrapped, why = ssl.wrap(self.socket, options)
  if not wrapped then self:fail("TLS: " .. tostring(why)) end
  self.socket = wrapped
  local host = server.host:lower():gsub("%.$", "")
  if not bits(host) then wrapped:sni(host) end
  self:hurry()
  local done
  done, why = wrapped:dohandshake()
  if not done then self:fail("TLS: " .. tostring(why)) end
  if server.validate_certs and not certifies(wrapped:getpeercertificate(), host) then
    self:fail("TLS: the certificate is not for " .. host)
  end
end

-- Only what is named here is spoken; without encryption only where the operator has said so for this server.
local ACCESS = {
  ["IMAP-SSL"] = { at_once = true },
  ["IMAP-TLS"] = { starttls = true },
  ["IMAP"] = { in_clear = true },
}

function Link:greet(server)
  local access = ACCESS[server.access]
  if not access or (access.in_clear and not server.allow_clear) then
    self:fail("passwords are not sent by " .. tostring(server.access))
  end
  self:hurry()
  local done, why = self.socket:connect(server.host, server.port)
  if not done then self:fail("it cannot be reached: " .. tostring(why)) end
  if access.at_once then self:encrypt(server) end
  local line = self:line()
  if not line:upper():find "^%* OK" then self:fail("the server said: " .. line) end
  if access.starttls then
    local answer = self:command("s", "STARTTLS")
    if not answer:upper():find "^OK" then self:fail("it does not begin TLS: " .. answer) end
    self:encrypt(server)
  end
  local _, capabilities = self:command("c", "CAPABILITY")
  if capabilities:upper():find("LOGINDISABLED", 1, true) then self:fail "it does not allow LOGIN" end
end

local function escaped(text)
  return (text:gsub('[\\"]', "\\%0"))
end

-- Quoted where that is allowed (RFC 3501, section 4.3: ASCII in one line), because every server knows it; else as literals.
function Link:login(name, password)
  if not (name .. password):find "[^\32-\126]" then
    self.sent = true
    return self:command("l", ('LOGIN "%s" "%s"'):format(escaped(name), escaped(password)))
  end
  if self:command("l", ("LOGIN {%d}"):format(#name)) ~= "+" then
    self:fail "it takes no literals, and this name or password cannot be sent otherwise"
  end
  self:say(("%s {%d}\r\n"):format(name, #password))
  if self:reply "l" ~= "+" then self:fail "it takes no literals, and this name or password cannot be sent otherwise" end
  self.sent = true
  self:say(password .. "\r\n")
  return self:reply "l"
end

-- RFC 5530: the server could not judge, or would not on this connection.
local NO_JUDGEMENT = { UNAVAILABLE = true, SERVERBUG = true, INUSE = true, LIMIT = true, PRIVACYREQUIRED = true }

local function judge(answer)
  local status, code = answer:upper():match "^(%a+) ?%[?([%u%d-]*)"
  if status == "OK" then return "right", "" end
  if status == "NO" and answer:find "^..%s*%[" and NO_JUDGEMENT[code] then return "temporary", "the server said: " .. answer end
  if status == "NO" then return "wrong", "the server said: " .. answer end
  return "unclear", "the server said: " .. answer
end

local function ask(server, name, password)
  local link = setmetatable({ socket = socket.tcp(), ends = socket.gettime() + SETTINGS.timeout }, Link)
  local done, outcome, why = pcall(function()
    link:greet(server)
    return judge((link:login(name, password)))
  end)
  if done then pcall(link.command, link, "o", "LOGOUT") end
  pcall(link.socket.close, link.socket)
  if done then return outcome, why end
  if type(outcome) == "table" then return outcome.outcome, outcome.why end
  return link.sent and "unclear" or "unsent", tostring(outcome)
end

local CODES = {
  right = dovecot.auth.PASSDB_RESULT_OK,
  wrong = dovecot.auth.PASSDB_RESULT_PASSWORD_MISMATCH,
  -- Another answer would tell a guesser that there is such a person.
  throttled = dovecot.auth.PASSDB_RESULT_PASSWORD_MISMATCH,
  unknown = dovecot.auth.PASSDB_RESULT_USER_UNKNOWN,
}

local function judged(request, login, server, password)
  local attempt, limit, wrong = begin(login.server, login.login, request.remote_ip or "")
  if not attempt then
    return wrong and "throttled" or "unsent", ("the limit %s is reached; %s was not asked"):format(limit, login.server)
  end
  local outcome, why = ask(server, login.login, password)
  settle(attempt, outcome)
  -- Who was taken out while Kerio thought about it would have a session that nobody ends.
  local now = read("logins.lua")[request.user] or {}
  if outcome == "right" and (now.server ~= login.server or now.login ~= login.login) then
    return "unknown", "the right to log in was lost meanwhile"
  end
  if not server.validate_certs then why = why .. " (its certificate is not verified)" end
  return outcome, ("%s: %s"):format(login.server, why)
end

local function verify(request, password)
  local login = read("logins.lua")[request.user]
  if not login then return "unknown", "no server is asked about this person" end
  local server = SETTINGS.servers[login.server]
  if not server then return "unsent", "there is no server " .. login.server end
  if password == "" then return "wrong", "the password is empty" end
  local leave = enter(login.server)
  if not leave then return "unsent", ("%d logins are under way at %s; it was not asked"):format(SETTINGS.at_once, login.server) end
  local done, outcome, why = pcall(judged, request, login, server, password)
  leave()
  if not done then error(outcome, 0) end
  return outcome, why
end

-- A server may repeat what it was sent, in the form in which it was sent, and line by line.
local function repeats(text, password)
  for line in (password .. "\n" .. escaped(password)):gmatch "[^\r\n]+" do
    if text:find(line, 1, true) then return true end
  end
  return false
end

function auth_password_verify(request, password)
  local done, outcome, why = pcall(verify, request, password)
  if not done then outcome, why = "unsent", tostring(outcome) end
  if repeats(why, password) then why = "(not shown, because it holds the password)" end
  local told = ("kerio: user=<%s> rip=%s session=<%s> result=%s %s"):format(
    request.user, request.remote_ip or "", request.session or "", outcome, why)
  dovecot.i_info((told:gsub("%c", " ")))
  if outcome == "right" then return CODES.right, {} end
  return CODES[outcome] or dovecot.auth.PASSDB_RESULT_INTERNAL_FAILURE, outcome
end
