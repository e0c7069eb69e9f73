package belfry

// MaxArriving is how many logins may ask the store at the same time.
const MaxArriving = maxArriving
