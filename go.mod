module millrace

go 1.26.0

require (
	millrace/broker v0.0.0
	millrace/pkg v0.0.0
	millrace/services/inventory v0.0.0
	millrace/services/notification v0.0.0
	millrace/services/order v0.0.0
)

replace millrace/pkg => ./pkg

replace millrace/broker => ./broker

replace millrace/services/order => ./services/order

replace millrace/services/inventory => ./services/inventory

replace millrace/services/notification => ./services/notification
