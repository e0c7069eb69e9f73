package belfry

import "context"

// An OnlineCount says who is online in a company.
type OnlineCount struct {
	Users int `json:"users"` // with at least one page, or within the grace period after their last
	Pages int `json:"pages"`
}

// A Presence counts who is online. It is safe for concurrent use.
type Presence interface {
	// Join counts a page and returns the company's count after it. A page
	// that is counted already is not counted again.
	Join(ctx context.Context, who Identity, pageID string) (OnlineCount, error)

	// Leave counts a page out. A page that is not counted is ignored.
	Leave(ctx context.Context, who Identity, pageID string) error

	// Online returns a company's count.
	Online(ctx context.Context, company CompanyID) (OnlineCount, error)

	// PagesOf returns the open pages of a user, in all companies and on all nodes.
	PagesOf(ctx context.Context, user UserID) ([]OpenPage, error)

	// PagesHere returns those of this node.
	PagesHere(user UserID) []OpenPage

	// Here returns the identities that have pages on this node, of a company, or of all companies
	// where company is empty. Others may come and go meanwhile.
	Here(company CompanyID) []Identity
}

// An OpenPage is one page of a user.
type OpenPage struct {
	ID      string
	Company CompanyID
}
