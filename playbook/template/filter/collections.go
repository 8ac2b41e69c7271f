package filter

// collectionFilters lists the filters of collections.
func collectionFilters() []group { return nil }

// collectionTests lists the tests of collections.
func collectionTests() []group { return nil }
