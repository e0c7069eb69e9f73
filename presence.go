package belfry

import "context"

// An OnlineCount says who is online in a company.
type OnlineCount struct {
	Users int `json:"users"` // with at least one page, or within the grace period after their last
	Pages int `json:"pages"`
}

// A Presence counts who is online, on all nodes where there are several. It is safe for
// concurrent use.
//
// Only PagesOf fails because the nodes cannot ask each other: the other calls then answer what
// this node knows.
type Presence interface {
	// Join counts a page and returns the company's count after it. A page
	// that is counted already is not counted again.
	//
	// When it has returned nil, PagesOf sees the page, on every node. Where the nodes cannot reach each
	// other it returns nil too, and the other nodes see the page when they can again.
	Join(ctx context.Context, who Identity, pageID string) (OnlineCount, error)

	// Leave counts a page out. A page that is not counted is ignored.
	Leave(ctx context.Context, who Identity, pageID string) error

	// Online returns a company's count.
	Online(ctx context.Context, company CompanyID) (OnlineCount, error)

	// PagesOf returns the open pages of a user, in all companies and on all nodes. It fails with
	// [ErrUnavailable] if it cannot find out which there are on other nodes, and
	// returns the pages that it knows of, at least those of this node, nevertheless.
	PagesOf(ctx context.Context, user UserID) ([]OpenPage, error)

	// PagesHere returns those of this node. It asks no other.
	PagesHere(user UserID) []OpenPage

	// Here returns the identities that have pages on this node, of a company, or of all companies
	// where company is empty. It asks no other. Others may come and go meanwhile.
	Here(company CompanyID) []Identity
}

// An OpenPage is one page of a user.
type OpenPage struct {
	ID      string
	Company CompanyID
	Here    bool // on this node
}
