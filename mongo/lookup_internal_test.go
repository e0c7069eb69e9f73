package mongo

import (
	"testing"
	"testing/synctest"
)

// A question that was asked before somebody came may have missed what was stored before that.
func TestWhoComesWhileAQuestionIsUnderWayGetsTheNextWithAllOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lookups
		var asked []number
		answer := make(chan bool)
		join := func(n number) *lookup {
			return l.join(n, func(q *lookup) {
				asked = append(asked, n)
				q.ok = <-answer
			})
		}
		first := join(7)
		synctest.Wait() // it is under way
		second, third := join(7), join(7)
		if first == second || second != third {
			t.Error("want one question under way, and one for both who came then")
		}
		other := join(8)
		if other == second {
			t.Error("another number has the same question")
		}
		synctest.Wait()
		if len(asked) != 2 || asked[0] != 7 || asked[1] != 8 {
			t.Errorf("asked %v; a number's questions come one after the other, and wait for no other's", asked)
		}
		for range 3 {
			answer <- true
			synctest.Wait()
		}
		for i, q := range []*lookup{first, second, other} {
			select {
			case <-q.answered:
				if !q.ok {
					t.Errorf("question %d has no answer", i)
				}
			default:
				t.Errorf("question %d was not answered", i)
			}
		}
		if len(asked) != 3 || asked[2] != 7 || len(l.next) != 0 || len(l.asking) != 0 {
			t.Errorf("asked %v, %v and %v are kept", asked, l.next, l.asking)
		}
	})
}
