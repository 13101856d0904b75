// Command notification is the notification service. Its settings are environment
// variables: see README.md in services/notification.
package main

import (
	"os"

	"millrace/pkg/service"
	"millrace/services/notification/app"
)

func main() { os.Exit(service.Main(os.Environ(), os.Stderr, app.Run)) }
