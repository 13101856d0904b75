// Package notification holds the mails that a customer gets about an order: which
// there are, whom they go to and what they say.
//
//	ORDER_CREATED        CONFIRMATION   "we have your order"
//	INVENTORY_RESERVED   OUTCOME        "it is on its way"
//	INVENTORY_REJECTED   OUTCOME        "we cannot serve it"
//
// A customer gets each kind once an order. Nothing here does I/O, reads a clock or
// logs. Messages come in through consumer; the mails go out through smtpmail, and
// postgres remembers which ones did; app puts them together.
package notification
