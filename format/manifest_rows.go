package format

// The columns of each table of a manifest, in the order in which they are
// stored. One function for both directions: a column cannot be written and
// forgotten when reading, and column.go, which names and types them, is compared
// with SPEC.md. Tests read back every table.

// cells of the one row that says what the checkpoint is.
func (s *Summary) cells(c *rowCodec) {
	c.byte((*byte)(&s.Kind))
	c.uint(&s.ID)
	c.str(&s.Path)
	c.str(&s.Job)
	c.int(&s.Created)
	c.str(&s.Lineage)
	c.uint(&s.Run)
	c.uint(&s.Parent)
	c.str(&s.ParentDir)
	c.str(&s.WriterID)
	c.str(&s.Software)
	c.str(&s.Hash)
	c.byte((*byte)(&s.Ending))
	c.uint(&s.Subtasks)
	c.uint(&s.Entries)
	c.uint(&s.StateBytes)
	c.uint(&s.InFlightBytes)
	c.uint(&s.InFlightRecords)
	c.int(&s.MinWatermark)
	c.int(&s.MaxWatermark)
}

// cells of a node of the job graph.
func (o *Operator) cells(c *rowCodec) {
	c.str(&o.UID)
	c.str(&o.Name)
	c.u32(&o.Parallelism)
	c.u32(&o.KeyGroups)
	c.optional(&o.KeySchema)
	c.u32(&o.Task)
	c.int(&o.MinWatermark)
	c.int(&o.MaxWatermark)
}

// cells of a state; absent references are stored as 0, others one higher.
func (s *State) cells(c *rowCodec) {
	c.row(&s.Operator)
	c.str(&s.Name)
	c.byte((*byte)(&s.Kind))
	c.optional(&s.Edge)
	c.optional(&s.Namespace)
	c.optional(&s.Value)
	c.uint(&s.Entries)
	c.uint(&s.Bytes)
	c.uint(&s.Decoded)
}

// cells of a connection of the job graph.
func (e *Edge) cells(c *rowCodec) {
	e.cells2(c)
	c.optional(&e.Keys)
	c.byte((*byte)(&e.Reason))
}

// cells2 are those that a connection has in revision 2, whose files say nothing of
// keys and reasons.
func (e *Edge) cells2(c *rowCodec) {
	if c.read != nil {
		e.Keys = None
	}
	c.str(&e.ID)
	c.row(&e.From)
	c.row(&e.To)
	c.byte((*byte)(&e.Partitioner))
	c.byte((*byte)(&e.Alignment))
	c.uint(&e.InFlightBytes)
	c.uint(&e.InFlightRecords)
}

// cells of a data object.
func (o *Object) cells(c *rowCodec) {
	c.str(&o.Name)
	c.uint(&o.Length)
	c.fixed32(&o.CRC)
	c.fixed32(&o.DirectoryCRC)
}

// cells of a slice. The interval is stored as its lower bound and its width:
// widths of the subtasks of one state are nearly equal and compress well, upper
// bounds are not. A width that wraps around saturates and fails the check.
func (s *Slice) cells(c *rowCodec) {
	c.delta(&s.State)
	c.u32(&s.Subtask)
	c.row(&s.Object)
	c.uint(&s.Offset)
	c.u32(&s.Length)
	c.fixed32(&s.CRC)
	c.u32(&s.Blocks)
	c.uint(&s.Entries)
	c.uint(&s.Bytes)
	c.uint(&s.Decoded)
	width := s.Interval.Hi - s.Interval.Lo
	c.uint(&s.Interval.Lo)
	c.uint(&width)
	s.Interval.Hi = addSaturating(s.Interval.Lo, width)
}

// cells of a configuration value.
func (s *Setting) cells(c *rowCodec) {
	c.str(&s.Key)
	c.str(&s.Value)
	c.str(&s.Origin)
}

// cells of an entry of the loss report.
func (l *Loss) cells(c *rowCodec) {
	c.str(&l.Tool)
	c.int(&l.Created)
	c.str(&l.Operator)
	c.str(&l.State)
	c.str(&l.Edge)
	c.str(&l.Place)
	c.str(&l.Reason)
	c.uint(&l.Bytes)
	c.uint(&l.Records)
	c.int(&l.MinTime)
	c.int(&l.MaxTime)
}
