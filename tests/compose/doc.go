// Package compose holds the test that starts docker-compose.yml for real: builds the image, waits
// until every container is healthy, places an order from the host, reads its mail, and leaves nothing.
//
// It needs a Docker engine and Compose v2, takes minutes when the image is not built yet, and so runs
// only when asked for:
//
//	MILLRACE_REQUIRE_PEERS=1 go test ./tests/compose/
package compose
