package filter

// collectionFilters lists the filters of collections, in the order in which their bare
// names count.
func collectionFilters() []group {
	return []group{
		{collection: "ansible.utils", further: []string{"ansible.netcommon"}, defs: ipFilters},
		{collection: "ansible.utils", defs: utilsFilters},
		{collection: "community.general", defs: generalFilters},
		{collection: "community.general", defs: timeFilters},
		{collection: "kubernetes.core", further: []string{"community.kubernetes"}, defs: kubeFilters},
	}
}

// collectionTests lists the tests of collections. Their bare names are not Ansible's: an
// unqualified "ip" or "private" in an old playbook would not be found there either.
func collectionTests() []group {
	return []group{{collection: "ansible.utils", defs: ipTests, qualified: true}}
}
