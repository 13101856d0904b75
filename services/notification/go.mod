module millrace/services/notification

go 1.26.0

require millrace/pkg v0.0.0

replace millrace/pkg => ../../pkg
