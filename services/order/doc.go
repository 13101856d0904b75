// Package order holds what an order is: its items, its total, the catalogue that
// prices it, the states it passes through, and the rules a new one has to keep.
//
//	PENDING ──INVENTORY_RESERVED──▶ CONFIRMED
//	   └──────INVENTORY_REJECTED──▶ REJECTED
//
// The two outcomes are final: the stock is counted once, so an order that was
// confirmed can never be refused later, nor the other way round.
//
// Nothing here does I/O, reads a clock or logs. Adapters live in httpapi and
// consumer (in), postgres and outbox (out); app puts them together.
package order
