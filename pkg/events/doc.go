// Package events is the contract between the services: the topics, the consumer
// groups, and the JSON form of everything that is sent through them.
//
// ORDER_CREATED and the dead letter have exactly the course's fields, in the
// course's order. The two events of inventory follow the same form. asyncapi.yaml
// beside this file says the same in AsyncAPI 3; a test keeps both equal.
//
//	event                topic      key         from          read by
//	ORDER_CREATED        orders     order id    order         inventory-service, notification-service
//	INVENTORY_RESERVED   inventory  order id    inventory     order-service, notification-service
//	INVENTORY_REJECTED   inventory  order id    inventory     order-service, notification-service
//	STOCK_ADJUSTED       stock      product id  inventory     who builds inventory's stock anew
//	dead letter          T-dlq      as found    any group     people, by millrace dlq
//	audit record         dlq-audit  letter id   millrace dlq  millrace dlq, people
//
// Readers are tolerant: fields that they do not know are ignored, so a producer may
// add fields at any time. A change that old readers would misunderstand raises
// [Version], which travels in the header [HeaderEventVersion]; a reader refuses
// versions above its own (see [CheckVersion]) and an absent version is 1.
//
// The package needs the standard library alone and keeps no slice of its input.
package events
