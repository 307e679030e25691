package walk

import (
	"os/user"
	"strconv"
	"sync"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// owners knows the names of users and groups, each asked for once: a lookup may
// go to a server.
type owners struct {
	mu     sync.RWMutex // guards what follows
	users  map[int]string
	groups map[int]string
}

func (o *owners) init() {
	o.users, o.groups = make(map[int]string), make(map[int]string)
}

// fill gives an entry the names of its owners.
func (o *owners) fill(e *index.Entry) {
	o.mu.RLock()
	user, userKnown := o.users[e.UID]
	group, groupKnown := o.groups[e.GID]
	o.mu.RUnlock()
	if !userKnown {
		user = o.find(o.users, e.UID, userName)
	}
	if !groupKnown {
		group = o.find(o.groups, e.GID, groupName)
	}
	e.Uname, e.Gname = user, group
}

func (o *owners) find(known map[int]string, id int, find func(string) string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	name, ok := known[id]
	if !ok {
		name = find(strconv.Itoa(id))
		known[id] = name
	}
	return name
}

// userName returns "" for a user that cannot be found, as duplicity does.
func userName(id string) string {
	u, err := user.LookupId(id)
	if err != nil {
		return ""
	}
	return u.Username
}

func groupName(id string) string {
	g, err := user.LookupGroupId(id)
	if err != nil {
		return ""
	}
	return g.Name
}
