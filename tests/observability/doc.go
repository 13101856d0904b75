// Package observability holds what is said about the shop's metrics (alert rules, dashboard, documentation) against
// what the services and the broker really expose.
package observability
