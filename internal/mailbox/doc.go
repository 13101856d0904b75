// Package mailbox is the end of the way for the shop's e-mails on one machine:
// it takes every message by SMTP (RFC 5321), delivers none of them, and shows
// them by HTTP.
//
// A message is written to a file before it is answered with 250, so that killing
// the process loses nothing that was accepted. There is no fsync: a power cut
// may. The files hold a JSON object a line and are bounded; the oldest go first.
// Without a folder mails stay in memory.
package mailbox
