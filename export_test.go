package belfry

// MaxArriving is how many logins may ask the store at the same time.
const MaxArriving = maxArriving

// FillAtMost sets how many bytes of what all pages have missed are kept in memory. Nothing may be missed yet.
func (s *Service) FillAtMost(bytes int64) { s.fillBytes = bytes }
