module millrace/services/notification

go 1.26.0

require (
	github.com/wneessen/go-mail v0.8.1
	millrace/pkg v0.0.0
)

replace millrace/pkg => ../../pkg
