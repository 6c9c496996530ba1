-- SPDX-License-Identifier: GPL-3.0-or-later
-- Asks a Kerio Connect server over IMAP whether a password is right: the second passdb of the archive's Dovecot (2.3, Lua 5.4).
-- The first one has let pass only those whom the archive knows. Beside this file: servers.lua (how servers are reached, how many
-- wrong answers are too many), logins.lua (whom to ask about whom), guesses.lua and addresses.lua. No password is written anywhere.

local socket, ssl = require "socket", require "ssl"

local HERE = debug.getinfo(1, "S").source:match("^@(.*/)")

local function read(name)
  local chunk, why = loadfile(HERE .. name, "t", {})
  if not chunk then error(why, 0) end
  return chunk()
end

-- Code of this script, not data.
local function include(name, ...)
  local chunk, why = loadfile(HERE .. name, "t")
  if not chunk then error(why, 0) end
  return chunk(...)
end

local SETTINGS = read "servers.lua"
local addresses = include "addresses.lua"
local guesses = include("guesses.lua", SETTINGS, addresses)

-- An attempt is "right", "wrong" (the server said NO), "temporary" (it said that it could not tell), "unclear" (the password was
-- sent, and what came back is no answer) or "unsent" (the password was not sent).
local function stop(outcome, why)
  error({ outcome = outcome, why = why }, 0)
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
  local address = addresses.bits(host)
  for _, extension in pairs(certificate:extensions() or {}) do
    if type(extension) == "table" then
      for _, name in ipairs(not address and extension.dNSName or {}) do
        if matches(name, host) then return true end
      end
      for _, name in ipairs(address and extension.iPAddress or {}) do
        if addresses.bits(name) == address then return true end
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
  if not addresses.bits(host) then wrapped:sni(host) end
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
  local attempt, limit, wrong = guesses.begin(login.server, login.login, request.remote_ip or "")
  if not attempt then
    return wrong and "throttled" or "unsent", ("the limit %s is reached; %s was not asked"):format(limit, login.server)
  end
  local outcome, why = ask(server, login.login, password)
  guesses.settle(attempt, outcome)
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
  local leave = guesses.enter(login.server)
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
