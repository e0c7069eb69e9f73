package chaos

import (
	"testing"
)

func TestTheJudge(t *testing.T) {
	who := identity{"1", "a"}
	pushes := []*push{
		{Title: "one", Kind: pushMessage, Users: []string{"1"}, Company: "a", Answer: answerOK},
		{Title: "two", Kind: pushActivity, Company: "a", Answer: answerOffline},
		{Title: "other", Kind: pushMessage, Users: []string{"2"}, Company: "a", Answer: answerOK},
		{Title: "perhaps", Kind: pushList, Users: []string{"2", "1"}, Company: "a", Answer: answerUnknown},
		{Title: "no", Kind: pushMessage, Users: []string{"1"}, Company: "a", Answer: answerRefused},
		{Title: "elsewhere", Kind: pushNotice, Company: "b", Answer: answerStored},
		{Title: "three", Kind: pushKeyed, Users: []string{"1"}, Company: "a", Answer: answerStored, Lane: 1},
	}
	say := func(idsAndTitles ...string) (seen []told) {
		for i := 0; i < len(idsAndTitles); i += 2 {
			seen = append(seen, told{ID: idsAndTitles[i], Title: idsAndTitles[i+1]})
		}
		return seen
	}
	for name, c := range map[string]struct {
		seen []told
		want string
	}{
		"all that was answered":                  {say("1", "one", "2", "two", "3", "three"), "0"},
		"and one that perhaps was stored":        {say("1", "one", "2", "two", "3", "perhaps", "4", "three"), "0"},
		"lanes are not in order with each other": {say("1", "three", "2", "one", "3", "two"), "0"},
		"one is missing":                         {say("1", "one", "3", "three"), "1 lost"},
		"one came twice":                         {say("1", "one", "2", "two", "3", "three", "2", "two"), "1 doubled"},
		"one that perhaps was stored came twice": {say("1", "one", "2", "two", "3", "perhaps", "3", "perhaps", "4", "three"), "1 doubled"},
		"one call has made two":                  {say("1", "one", "2", "two", "3", "three", "4", "three"), "1 stored twice"},
		"the log's order is not kept":            {say("1", "one", "3", "three", "2", "two"), "1 out of order"},
		"a lane's order is not kept":             {say("1", "two", "2", "one", "3", "three"), "1 out of order"},
		"another user's":                         {say("1", "one", "2", "two", "3", "three", "4", "other"), "1 misdelivered"},
		"another company's":                      {say("1", "one", "2", "two", "3", "three", "4", "elsewhere"), "1 misdelivered"},
		"what was refused":                       {say("1", "one", "2", "two", "3", "three", "4", "no"), "1 refused, yet sent"},
		"what nobody pushed":                     {say("1", "one", "2", "two", "3", "three", "4", "x"), "1 unknown"},
		"nothing":                                {nil, "3 lost"},
	} {
		var f faults
		judge(&f, name, who, c.seen, pushes)
		if got := f.String(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
