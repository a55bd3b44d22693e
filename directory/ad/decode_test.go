package ad

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

func ldapError(code uint16, text string) error { return ldap.NewError(code, errors.New(text)) }

func bindText(data string) string {
	return "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data " + data + ", v1db1"
}

func TestBindAnswersAreRead(t *testing.T) {
	for _, tt := range []struct {
		err    error
		is     error
		reason string
		right  bool
	}{
		{nil, nil, "", false},
		{ldapError(49, bindText("52e")), directory.ErrWrongPassword, "", false},
		{ldapError(49, bindText("525")), directory.ErrWrongPassword, "", false},
		{ldapError(49, bindText("530")), directory.ErrWrongPassword, "logon_hours", true},
		{ldapError(49, bindText("531")), directory.ErrWrongPassword, "workstation", true},
		{ldapError(49, bindText("532")), directory.ErrPasswordExpired, "", false},
		{ldapError(49, bindText("533")), directory.ErrWrongPassword, "disabled", false},
		{ldapError(49, bindText("701")), directory.ErrWrongPassword, "account_expired", false},
		{ldapError(49, bindText("773")), directory.ErrMustChange, "", false},
		{ldapError(49, bindText("775")), directory.ErrWrongPassword, "locked", false},
		{ldapError(49, bindText("80090346")), directory.ErrWrongPassword, "other", false},
		{ldapError(49, ""), directory.ErrWrongPassword, "", false},
		{ldapError(49, "Simple Bind Failed: NT_STATUS_LOGON_FAILURE"), directory.ErrWrongPassword, "", false},
		{ldapError(51, "busy"), directory.ErrUnavailable, "", false},
		{ldapError(8, "BindSimple: Transport encryption required."), directory.ErrUnavailable, "", false},
		{fmt.Errorf("%w: %w", directory.ErrUnavailable, ldapError(49, bindText("52e"))), directory.ErrUnavailable, "", false},
	} {
		err := decodeBind(tt.err)
		if !errors.Is(err, tt.is) {
			t.Errorf("%v: %v", tt.err, err)
		}
		var denied *directory.BindDenied
		errors.As(err, &denied)
		if (denied == nil) != (tt.reason == "") || denied != nil && (denied.Reason != tt.reason || denied.PasswordRight != tt.right) {
			t.Errorf("%v: %+v", tt.err, denied)
		}
		if tt.is == directory.ErrUnavailable && errors.Is(err, directory.ErrWrongPassword) {
			t.Errorf("%v counts as a wrong password", tt.err)
		}
	}
}

// windows is the shape of Windows' text for a refused unicodePwd.
func windows(code string) string {
	return code + ": AtrErr: DSID-03190F80, #1:\n\t0: " + code + ": DSID-03190F80, problem 1005 (CONSTRAINT_ATT_TYPE), data 0, Att 9005a (unicodePwd)\n"
}

const sambaText = "0000052D: Constraint violation - check_password_restrictions: "

// security case 64
func TestWriteAnswersNameTheRule(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	rules := directory.Rules{MinLength: 10, Complexity: true, History: 5, MinAge: 24 * time.Hour}
	user := directory.User{Login: "alice", Name: "Alice Wonder-Land", State: directory.State{PasswordSet: now.Add(-48 * time.Hour)}}
	young := user
	young.State.PasswordSet = now.Add(-time.Hour)
	unreadable := rules
	unreadable.Unreadable = "CN=Strong"
	with := func(pw string, u directory.User, r directory.Rules, change bool) attempt {
		return attempt{change: change, password: directory.NewSecret(pw), user: u, rules: r, now: now}
	}
	for _, tt := range []struct {
		name  string
		text  string
		a     attempt
		rule  directory.Rule
		limit int
	}{
		{"samba short", sambaText + "the password is too short. It should be equal or longer than 10 characters!", with("x", user, rules, false), directory.RuleTooShort, 10},
		{"samba short by a PSO", sambaText + "the password is too short. It should be equal or longer than 14 characters!", with("x", user, unreadable, false), directory.RuleTooShort, 14},
		{"samba complexity", sambaText + "the password does not meet the complexity criteria!", with("x", user, rules, false), directory.RuleComplexity, 0},
		{"samba history", sambaText + "the password was already used (in history)!", with("x", user, rules, true), directory.RuleHistory, 5},
		{"samba young", sambaText + "password is too young to change!", with("x", young, rules, true), directory.RuleTooYoung, 0},
		{"windows short", windows("0000052D"), with("Sh0rt!", user, rules, false), directory.RuleTooShort, 10},
		{"windows short in UTF-16 units: a key is two", windows("0000052D"), with("🔑🔑🔑🔑🔑", user, rules, false), directory.RuleComplexity, 0},
		{"windows complexity", windows("0000052D"), with("onlylowercase", user, rules, false), directory.RuleComplexity, 0},
		{"windows account name", windows("0000052D"), with("xxAlice-Aa-1x", user, rules, false), directory.RuleComplexity, 0},
		{"windows part of the name", windows("0000052D"), with("My-Wonder-1-x", user, rules, false), directory.RuleComplexity, 0},
		{"windows young", windows("0000052D"), with("Perfectly-Fine-1", young, rules, true), directory.RuleTooYoung, 0},
		{"windows: age does not bind a reset", windows("0000052D"), with("Perfectly-Fine-1", young, rules, false), directory.RuleHistoryOrFilter, 5},
		{"windows what remains", windows("0000052D"), with("Perfectly-Fine-1", user, rules, true), directory.RuleHistoryOrFilter, 5},
		{"windows under an unreadable policy", windows("0000052D"), with("Perfectly-Fine-1", user, unreadable, true), directory.RuleQuality, 0},
		{"cannot change", windows("00000005"), with("Perfectly-Fine-1", user, rules, true), directory.RuleCannotChange, 0},
		{"constraint without a code", "something else", with("Perfectly-Fine-1", user, rules, true), directory.RuleQuality, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := decodeWrite(ldapError(19, tt.text), tt.a)
			var r *directory.Refusal
			if !errors.As(err, &r) || r.Rule != tt.rule || r.Limit != tt.limit {
				t.Fatalf("%v %+v", err, r)
			}
			if r.Text != tt.text {
				t.Errorf("the server's words are lost: %q", r.Text)
			}
			if tt.rule == directory.RuleTooYoung && !r.Until.Equal(young.State.PasswordSet.Add(rules.MinAge)) {
				t.Errorf("until %v", r.Until)
			}
		})
	}
	for _, tt := range []struct {
		name string
		err  error
		a    attempt
		is   error
	}{
		{"wrong old, windows", ldapError(19, windows("00000056")), attempt{change: true}, directory.ErrWrongPassword},
		{"wrong old, samba", ldapError(19, "00000056: Constraint violation - check_password_restrictions: The old password specified doesn't match!"), attempt{change: true}, directory.ErrWrongPassword},
		{"wrong old as result 49", ldapError(49, "0000052E: SvcErr"), attempt{change: true}, directory.ErrWrongPassword},
		{"locked", ldapError(19, windows("00000775")), attempt{change: true}, directory.ErrWrongPassword},
		{"rights, windows", ldapError(50, "00000005: SecErr: DSID-031A1190, problem 4003 (INSUFF_ACCESS_RIGHTS), data 0"), attempt{}, directory.ErrDenied},
		{"rights, samba", ldapError(50, "error in module acl: insufficient access rights during LDB_MODIFY (50)"), attempt{}, directory.ErrDenied},
		{"not encrypted", ldapError(53, "0000001F: SvcErr: DSID-031A12D2, problem 5003 (WILL_NOT_PERFORM), data 0"), attempt{}, directory.ErrUnavailable},
		{"gone", ldapError(32, "0000208D: NameErr: DSID-03100241, problem 2001 (NO_OBJECT), data 0"), attempt{}, directory.ErrNotFound},
		{"service account refused", fmt.Errorf("%w: %w", directory.ErrUnavailable, ldapError(49, bindText("52e"))), attempt{change: true}, directory.ErrUnavailable},
		{"uncertain", fmt.Errorf("%w: %w", directory.ErrUnavailable, directory.ErrUncertain), attempt{}, directory.ErrUncertain},
	} {
		err := decodeWrite(tt.err, tt.a)
		if !errors.Is(err, tt.is) || tt.is != directory.ErrWrongPassword && errors.Is(err, directory.ErrWrongPassword) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{bindText("52e"), windows("0000052D"), sambaText + "too short. It should be equal or longer than 99999 characters", "", "0000052D:", "data "} {
		f.Add(uint16(19), s)
		f.Add(uint16(49), s)
	}
	f.Fuzz(func(t *testing.T, code uint16, text string) {
		err := ldapError(code, text)
		// Whatever a server says in a failure, it is never a success.
		for _, change := range []bool{false, true} {
			if decodeWrite(err, attempt{change: change, password: directory.NewSecret(text)}) == nil {
				t.Error("a failed write became a success")
			}
		}
		got := decodeBind(err)
		if got == nil {
			t.Error("a failed bind became a success")
		}
		if code != 49 && (errors.Is(got, directory.ErrMustChange) || errors.Is(got, directory.ErrPasswordExpired)) {
			t.Errorf("result %d proves a password", code)
		}
	})
}

func FuzzDescriptor(f *testing.F) {
	f.Add([]byte{1, 0, 4, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 2, 0, 8, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if dacl, err := parseDACL(b); err == nil {
			cannotChange(dacl)
			granted(dacl, rightResetPassword, tokenOf("x", nil))
		}
		if s, err := newSID(b); err == nil {
			if back, err := parseSID(s.String()); err != nil || back != s {
				t.Errorf("%x does not survive: %s", b, s)
			}
		}
	})
}

// security case 62
func TestPasswordsAreQuotedUTF16(t *testing.T) {
	if got := encodePassword(directory.NewSecret("aé🔑")); got != "\"\x00a\x00\xe9\x00\x3d\xd8\x11\xdd\"\x00" {
		t.Errorf("%x", got)
	}
}

func TestIdentifiers(t *testing.T) {
	raw := []byte{0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	if g, err := formatGUID(raw); err != nil || g != "00112233-4455-6677-8899-aabbccddeeff" || !validGUID(g) {
		t.Errorf("%s %v", g, err)
	}
	for _, bad := range []string{"", "00112233-4455-6677-8899-AABBCCDDEEFF", "00112233-4455-6677-8899-aabbccddeef", "0011223304455-6677-8899-aabbccddeeff",
		"00112233-4455-6677-8899-aabbccddee>)", "z0112233-4455-6677-8899-aabbccddeeff"} {
		if validGUID(bad) {
			t.Errorf("%q passes", bad)
		}
	}
	s, err := parseSID("S-1-5-21-1-2-3-512")
	if err != nil || s.String() != "S-1-5-21-1-2-3-512" {
		t.Fatal(s, err)
	}
	if rid, builtin, domain := s.rid(); rid != 512 || builtin || !domain {
		t.Error(rid, builtin, domain)
	}
	b, _ := parseSID("s-1-5-32-544")
	if rid, builtin, domain := b.rid(); rid != 544 || !builtin || domain {
		t.Error(rid, builtin, domain)
	}
	for _, bad := range []string{"", "S-1", "S-1-5", "S-2-5-21", "S-1-x-1", "S-1-5-99999999999", "CN=x"} {
		if _, err := parseSID(bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func TestTimes(t *testing.T) {
	want := time.Date(2022, 6, 17, 8, 26, 40, 0, time.UTC)
	if got := fileTime("132999280000000000"); !got.Equal(want) {
		t.Errorf("%v", got)
	}
	for _, never := range []string{"0", "9223372036854775807", "", "x", "-1"} {
		if !fileTime(never).IsZero() {
			t.Errorf("%q is a time", never)
		}
	}
	for in, want := range map[string]time.Duration{
		"-18000000000": 30 * time.Minute, "-36288000000000": 42 * 24 * time.Hour, "0": 0, "-9223372036854775808": 0, "": 0, "5": 0,
	} {
		if got := interval(in); got != want {
			t.Errorf("%s is %v", in, got)
		}
	}
}

func entry(dn string, attrs map[string][]string) *ldap.Entry { return ldap.NewEntry(dn, attrs) }

// security cases 65 and 67
func TestPrivileged(t *testing.T) {
	ordinary := map[string][]string{"sAMAccountType": {"805306368"}, "sAMAccountName": {"alice"}}
	with := func(k string, v ...string) map[string][]string {
		m := map[string][]string{}
		for a, b := range ordinary {
			m[a] = b
		}
		m[k] = v
		return m
	}
	sids := func(text ...string) (out []sid) {
		for _, s := range text {
			p, err := parseSID(s)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, p)
		}
		return out
	}
	pl, err := ldapconn.NewPlaces([]string{"OU=People,DC=x"}, []string{"OU=VIP,OU=People,DC=x"})
	if err != nil {
		t.Fatal(err)
	}
	const dn = "CN=Alice,OU=People,DC=x"
	users := "S-1-5-21-1-2-3-513"
	configured := map[sid]string{sids("S-1-5-21-1-2-3-9999")[0]: "CN=Board,DC=x"}
	if why := privileged(entry(dn, ordinary), sids(users, "S-1-5-32-545"), nil, configured, pl); why != "" {
		t.Fatalf("an ordinary person: %s", why)
	}
	for _, rid := range []string{"512", "516", "517", "518", "519", "520", "521", "525", "526", "527"} {
		if privileged(entry(dn, ordinary), sids(users, "S-1-5-21-1-2-3-"+rid), nil, configured, pl) == "" {
			t.Errorf("RID %s passes", rid)
		}
		if why := privileged(entry(dn, ordinary), sids("S-1-5-32-"+rid), nil, configured, pl); why != "" {
			t.Errorf("S-1-5-32-%s is none of those: %s", rid, why)
		}
	}
	for _, rid := range []string{"544", "548", "549", "550", "551", "552"} {
		if privileged(entry(dn, ordinary), sids(users, "S-1-5-32-"+rid), nil, configured, pl) == "" {
			t.Errorf("built-in RID %s passes", rid)
		}
	}
	for name, tt := range map[string]struct {
		e      *ldap.Entry
		groups []string
		token  []sid
	}{
		"configured group":             {entry(dn, ordinary), nil, sids(users, "S-1-5-21-1-2-3-9999")},
		"configured distribution list": {entry(dn, ordinary), []string{"cn=board,dc=x"}, sids(users)},
		"adminCount":                   {entry(dn, with("adminCount", "1")), nil, sids(users)},
		"computer":                     {entry(dn, with("sAMAccountType", "805306369")), nil, sids(users)},
		"trust":                        {entry(dn, with("sAMAccountType", "805306370")), nil, sids(users)},
		"no account type":              {entry(dn, with("sAMAccountType")), nil, sids(users)},
		"krbtgt":                       {entry(dn, with("sAMAccountName", "krbtgt")), nil, sids(users)},
		"service principal":            {entry(dn, with("servicePrincipalName", "HTTP/x")), nil, sids(users)},
		"denied branch":                {entry("CN=a,OU=VIP,OU=People,DC=x", ordinary), nil, sids(users)},
		"outside":                      {entry("CN=a,OU=Else,DC=x", ordinary), nil, sids(users)},
	} {
		if privileged(tt.e, tt.token, tt.groups, configured, pl) == "" {
			t.Errorf("%s passes", name)
		}
	}
	if _, err := tokenGroups(entry(dn, nil)); err == nil {
		t.Error("somebody without readable tokenGroups passes for ordinary")
	}
}

func TestConfigReportsEveryFaultWithItsPath(t *testing.T) {
	var got []string
	for _, f := range (Config{LoginAttributes: []string{"u)d"}, PrivilegedGroups: []string{"nonsense"}, DeniedOUs: []string{"x"}}).Validate() {
		got = append(got, strings.SplitN(f.Error(), ":", 2)[0])
	}
	for _, want := range []string{"servers", "bind_dn", "bind_password", "dial_timeout", "request_timeout", "service_connections",
		"user_bind_connections", "base_dn", "denied_ous[0]", "privileged_groups[0]", "login_attributes[0]"} {
		if !strings.Contains(strings.Join(got, " "), want) {
			t.Errorf("%s is missing in %v", want, got)
		}
	}
}
