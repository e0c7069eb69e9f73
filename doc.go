// Package belfry is the notification bell and the activity feed of a web
// application: who gets which message, what counts as unread, who is online.
//
// The package holds the words of the system as types ([Message], [Activity],
// [Identity]), its rules ([Service]) and the ports through which it reaches
// the world ([Store], [Broker], [Presence], [Emitter], [Page]). It imports nothing outside the
// standard library and knows neither HTTP nor Socket.IO.
//
// Text in these types is raw, as the application wrote it; escaping belongs to
// the edge that puts it into a page.
package belfry
