package belfry

import "time"

// MaxArriving is how many logins may ask the store at the same time.
const MaxArriving = maxArriving

// Near reports whether what was missed is little.
func (m Missed) Near() bool { return m.near }

// FillAtMost sets how many bytes of what all pages have missed are kept in memory. Nothing may be missed yet.
func (s *Service) FillAtMost(bytes int64) { s.fillBytes = bytes }

// CountInLineWithin sets how long the store may take to count for who holds the line. Nobody may have logged in yet.
func (s *Service) CountInLineWithin(d time.Duration) { s.inLine = d }
