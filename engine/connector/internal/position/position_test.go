package position

import "testing"

func TestPosition(t *testing.T) {
	a, b := int64(7), int64(8)
	if err := Parse(nil, &a, &b); err != nil || a != 7 || b != 8 {
		t.Errorf("the beginning: %d, %d, %v", a, b, err)
	}
	p := Append([]byte("x"), 1, 1<<62)[1:]
	if err := Parse(p, &a, &b); err != nil || a != 1 || b != 1<<62 {
		t.Errorf("%d, %d, %v", a, b, err)
	}
	for _, bad := range [][]byte{{}, p[:15], append(p, 0), Append(nil, 0, 1<<63)} {
		if err := Parse(bad, &a, &b); err == nil {
			t.Errorf("% x was accepted", bad)
		}
	}
}
