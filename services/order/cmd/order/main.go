// Command order is the order service. Its settings are environment variables: see
// README.md in services/order.
package main

import (
	"os"

	"millrace/pkg/service"
	"millrace/services/order/app"
)

func main() { os.Exit(service.Main(os.Environ(), os.Stderr, app.Run)) }
