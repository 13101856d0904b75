// Package shop runs the whole shop on one machine: Postgres, the broker, the
// mail catcher, the trace collector and the three services, each a process of
// its own (the same program, started again with another subcommand).
//
//	Postgres ──┐ provisioned: a database and a role for each service
//	broker ────┼──▶ order, inventory (n), notification (n) ──▶ ready
//	mail ──────┤
//	collector ─┘
//
// What stands one above the other starts at the same time. The way down is the
// way up backwards: the services drain, then mail and collector, then the
// broker, then Postgres.
package shop
