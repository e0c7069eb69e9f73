package sqlite

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3/driver"
)

// plan returns how SQLite runs a query, one step in a line. Nothing is bound:
// plans do not depend on it.
func plan(t *testing.T, s *Store, query string) (steps []string) {
	t.Helper()
	conn, err := s.readers.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(c any) error {
		stmt, _, err := c.(driver.Conn).Raw().Prepare("EXPLAIN QUERY PLAN " + query)
		if err != nil {
			return err
		}
		defer stmt.Close()
		for stmt.Step() {
			steps = append(steps, stmt.ColumnText(3))
		}
		return stmt.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

func TestNoQueryReadsMoreThanItsRange(t *testing.T) {
	s := openInternal(t, t.TempDir())
	// What is no table, and the one row of changes.
	harmless := regexp.MustCompile(`^SCAN (changes|(json_each|j) VIRTUAL TABLE INDEX 1:|CONSTANT ROW|\(subquery-\d+\)|scheduled USING COVERING INDEX scheduled_due)$`)
	const noticeRange = "n USING PRIMARY KEY (company=? AND later=? AND id>?"
	for name, tt := range map[string]struct {
		query string
		uses  string // the index, or the primary key
		sorts string // what it may sort: no more than it answers, or ids alone
	}{
		"Undelivered":          {sqlUndelivered, "w USING PRIMARY KEY (receiver=?)", ""},
		"Undelivered, rows":    {sqlUndelivered, "m USING PRIMARY KEY (receiver=? AND id=?)", ""},
		"Undelivered, fresh":   {sqlUndelivered, "messages USING PRIMARY KEY (receiver=? AND id=?)", ""},
		"Undelivered, notices": {sqlUndelivered, noticeRange, ""},
		"Inbox":                {sqlInbox, "PRIMARY KEY (receiver=? AND id<?)", ""},
		"Inbox, notices":       {sqlInbox, noticeRange + " AND id<?)", ""},
		"unread inbox":         {sqlInboxUnread, "COVERING INDEX messages_unread (receiver=? AND company=?)", "ORDER BY"},
		"unread inbox, rows":   {sqlInboxUnread, "SEARCH messages USING PRIMARY KEY (receiver=? AND id=?)", "ORDER BY"},
		"archived inbox":       {sqlInboxArchived, "messages_archived (receiver=? AND id<?)", ""},
		"archived notices":     {sqlInboxArchived, "COVERING INDEX notice_marks_archived (receiver=? AND company=? AND id<?)", ""},
		"Counts":               {sqlCounts, "COVERING INDEX messages_unread (receiver=? AND company=?)", "GROUP BY"},
		"Counts, notices":      {sqlCounts, "COVERING INDEX notices_counted (company=? AND later=? AND id>?)", "GROUP BY"},
		"Counts, marks":        {sqlCounts, "k USING PRIMARY KEY (receiver=? AND company=? AND id=?)", "GROUP BY"},
		"Message":              {sqlMessage, "messages_age (id=?)", ""},
		"Message, notice":      {sqlMessage, "notices_age (id=?)", ""},
		"Edit":                 {sqlEditMessage, "messages_age (id=?)", ""},
		"Edit, notice":         {sqlEditNotice, "notices_age (id=?)", ""},
		"Withdraw":             {sqlWithdrawMessage, "messages_age (id=?)", ""},
		"Withdraw, notice":     {sqlWithdrawNotice, "notices_age (id=?)", ""},
		"collapse":             {sqlCollapseMessages, "messages_collapse (receiver=? AND company=? AND collapse=?)", ""},
		"collapse notices":     {sqlCollapseNotices, "notices_collapse (company=? AND collapse=?)", ""},
		"Feed":                 {sqlFeed, "PRIMARY KEY (company=? AND id>? AND id<?)", ""},
		"Feed of an operator":  {sqlFeedOperator, "activities_operator (company=? AND operator_id=? AND id>? AND id<?)", ""},
		"Feed of a type":       {sqlFeedType, "activities_type (company=? AND object_type=? AND id>? AND id<?)", ""},
		"Feed of an object":    {sqlFeedObject, "activities_object (company=? AND object_type=? AND object_id=? AND id>? AND id<?)", ""},
		"settle":               {sqlWait, "m USING PRIMARY KEY (receiver=? AND id=?)", ""},
		"MarkDelivered":        {sqlWaitNoMore, "PRIMARY KEY (receiver=? AND id=?)", ""},
		"Profile":              {sqlProfile, "preferences USING PRIMARY KEY (receiver=?)", ""},
		"MarkHeard":            {sqlMarkHeard, "PRIMARY KEY (receiver=? AND company=?)", ""},
		"read":                 {sqlMarkRead, "PRIMARY KEY (receiver=? AND id=?)", ""},
		"unread":               {sqlMarkUnread, "PRIMARY KEY (receiver=? AND id=?)", ""},
		"archive":              {sqlMarkArchive, "PRIMARY KEY (receiver=? AND id=?)", ""},
		"unarchive":            {sqlMarkUnarchive, "PRIMARY KEY (receiver=? AND id=?)", ""},
		"all read":             {sqlMarkAllRead, "messages_unread (receiver=? AND company=?)", ""},
		"all archived":         {sqlMarkAllArchived, "PRIMARY KEY (receiver=? AND id<?)", ""},
		"notice read":          {sqlNoticeRead, "n USING INDEX notices_age (id=?", ""},
		"notice unread":        {sqlNoticeUnread, "(id=? AND receiver=? AND company=?)", ""},
		"notice archive":       {sqlNoticeArchive, "n USING INDEX notices_age (id=?", ""},
		"notice unarchive":     {sqlNoticeUnarchive, "(id=? AND receiver=? AND company=?)", ""},
		"notices all read":     {sqlNoticesAllRead, "COVERING INDEX notices_counted (company=? AND later=? AND id>? AND id<?)", ""},
		"notices all archived": {sqlNoticesAllArchived, noticeRange + " AND id<?)", ""},
		"NextDue":              {sqlNextDue, "scheduled_due", ""},
		"Due":                  {sqlDue, "scheduled_due (due<?)", ""},
		"expired":              {sqlExpired, "COVERING INDEX messages_expires (expires>? AND expires<?)", ""},
		"expire":               {sqlExpireMessage, "messages_age (id=?)", ""},
		"expire a notice":      {sqlExpireNotice, "notices_age (id=?)", ""},
		"log of messages":      {sinceMessages, "PRIMARY KEY (receiver=? AND id>? AND id<?)", ""},
		"log of notices":       {sinceMessages, noticeRange + " AND id<?)", ""},
		"log of activities":    {sinceActivities, "PRIMARY KEY (company=? AND id>? AND id<?)", ""},
		"log of revisions":     {sinceRevisions, "PRIMARY KEY (owner=? AND company=? AND place>? AND place<?)", ""},
		"edited":               {sinceEdited, "messages_age (id=?)", ""},
		"Last":                 {sqlLast, "messages_age", ""},
		"old revisions":        {sqlOldRevisions, "COVERING INDEX revisions_age (place<?)", ""},
		"old requests":         {sqlOldRequests, "COVERING INDEX requests_made (made<?)", ""},
		"old messages":         {sqlOldMessages, "COVERING INDEX messages_age (id<?)", ""},
		"old notices":          {sqlOldMessages, "COVERING INDEX notices_age (id<?)", ""},
		"surplus messages":     {sqlSurplusMessages, "COVERING INDEX messages_age (id<?)", ""},
		"surplus of a user":    {sqlSurplusOfUser, "PRIMARY KEY (receiver=? AND id<?)", ""},
		"next user":            {sqlNextUser, "PRIMARY KEY (receiver>?)", ""},
		"old activities":       {sqlOldActivities, "COVERING INDEX activities_age (id<?)", ""},
		"surplus activities":   {sqlSurplusActivities, "COVERING INDEX activities_age (id<?)", ""},
		"delete a message":     {sqlDeleteMessage, "PRIMARY KEY (receiver=? AND id=?)", ""},
		"delete a notice":      {sqlDeleteNotice, "notices_age (id=?", ""},
		"delete an activity":   {sqlDeleteActivity, "PRIMARY KEY (company=? AND id=?)", ""},
		"marks of the gone":    {sqlGoneMarks, "COVERING INDEX notice_marks_notice (id=?)", ""},
		"delete such a mark":   {sqlDeleteGoneMark, "PRIMARY KEY (receiver=? AND company=? AND id=?)", ""},
	} {
		t.Run(name, func(t *testing.T) {
			steps := plan(t, s, tt.query)
			for _, step := range steps {
				sorts := strings.HasPrefix(step, "USE TEMP B-TREE FOR ") && (tt.sorts == "" || !strings.HasSuffix(step, tt.sorts))
				if strings.HasPrefix(step, "SCAN") && !harmless.MatchString(step) || sorts {
					t.Errorf("it says %q", step)
				}
			}
			if !strings.Contains(strings.Join(steps, "\n"), tt.uses) {
				t.Errorf("the plan does not use %s:\n%s", tt.uses, strings.Join(steps, "\n"))
			}
		})
	}
}
