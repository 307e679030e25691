package tiering

// NoteMove writes down, in the state directory, that a file is being moved: that
// it is to lie in the stores r.Want and nowhere else, and that it is right in the
// stores r.Good, every one of which must have been compared. Until EndMove, Repair
// carries the move out as well.
func (t *Tiers) NoteMove(r Record) error {
	r.Version, r.Since, r.Moving = recordVersion, t.clock.Now().UTC(), true
	return t.records.keep(r)
}

// EndMove removes what NoteMove has written.
func (t *Tiers) EndMove(name string) error {
	r, ok := t.records.get(name)
	if !ok || r.Published {
		return nil // Repair settles what lies in stores, too
	}
	return t.records.drop(r)
}

// PlanRecord plans what makes a record untrue, going by what inv shows. A record
// that needs neither a step nor anything that is blocked has become untrue by
// itself.
func (t *Tiers) PlanRecord(inv *Inventory, r Record) ([]Step, []Blocked) {
	p := new(RepairPlan)
	t.planRecord(p, inv, r)
	return p.Steps, p.Blocked
}
