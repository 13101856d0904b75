// Package dlq looks at dead letters and mends them: list, show, diff, edit, redrive,
// discard, stats. It works on every topic T-dlq whose records have the form of
// [events.DeadLetter], of any group, on any Kafka.
//
// What was done with a letter stands in the topic dlq-audit ([events.Audit]); a letter
// itself is never changed or deleted. The state of a letter is the fold of the audit
// records about it ([State.Apply]):
//
//	          intent                done
//	 open ──────────────▶ redriving ─────▶ redriven ──(intent, again)──▶ redriving …
//	  │ ▲                   │  ▲  │
//	  │ └──────failed───────┘  └──┘ intent of a later run, when the first one died
//	  ▼ discard      ▲ restore
//	discarded ───────┘
//
// # Redrive
//
// A message goes to the retry topic of the group that failed ([events.RetryTopic]), so
// that no other group sees it again:
//
//	intent (acks=all) → read back: is it the first? → send → done (acks=all)
//
// The audit topic has one partition, so all readers agree on which record came first.
// An intent names the redrive that it replaces and is void when another one came
// between: of two people who redrive one letter at the same time, the second one learns
// that at the reading back and sends nothing. Who has taken too long between intent and
// sending, or finds that the letter was edited, writes a failed and sends nothing either.
//
// Who finds an intent without a done does not know whether the message was sent. After
// the [Lease], in which the owner of the intent would have sent it, it looks for the
// redrive id in the target partition from the intent's target_end on. The message is
// there: it writes the done that is missing. It is not: it sends. Should the owner come
// back from a sleep after all, there are two copies with one message id, and the inbox
// of the group takes one.
//
// # Memory
//
// Topics are streamed. What is kept is the state of each letter that was ever touched
// and still exists (about 400 bytes, BenchmarkLedger), and what the caller asks to be kept.
package dlq
