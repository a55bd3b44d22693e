package sms

import (
	"strings"
	"testing"
)

func TestWhatATextCosts(t *testing.T) {
	fox := "\U0001f98a"
	tests := map[string]struct {
		text string
		want Length
	}{
		"nothing":                   {"", Length{}},
		"one":                       {"a", Length{1, 1, false}},
		"full":                      {strings.Repeat("a", 160), Length{1, 160, false}},
		"one more":                  {strings.Repeat("a", 161), Length{2, 161, false}},
		"two full":                  {strings.Repeat("a", 306), Length{2, 306, false}},
		"three":                     {strings.Repeat("a", 307), Length{3, 307, false}},
		"umlauts are GSM":           {strings.Repeat("ä", 160), Length{1, 160, false}},
		"the euro counts twice":     {strings.Repeat("€", 81), Length{2, 162, false}},
		"an escape is not torn":     {strings.Repeat("a", 152) + "€" + strings.Repeat("a", 152), Length{3, 306, false}},
		"Arabic":                    {strings.Repeat("ر", 70), Length{1, 70, true}},
		"Arabic, one more":          {strings.Repeat("ر", 71), Length{2, 71, true}},
		"one foreign sign is all":   {strings.Repeat("a", 70) + "ш", Length{2, 71, true}},
		"a bracket costs 1 in UCS2": {"[" + strings.Repeat("ر", 69), Length{1, 70, true}},
		"emoji count twice":         {strings.Repeat(fox, 35), Length{1, 70, true}},
		"a pair is not torn":        {strings.Repeat("ر", 66) + fox + strings.Repeat("ر", 66), Length{3, 134, true}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Measure(tt.text); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestATextIsTidiedAndNeverCut(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"as it is":      {"Code: 7KQM-2XWD", "Code: 7KQM-2XWD"},
		"line ends":     {"a\r\nb\rc\u2028d\n", "a\nb\nc\nd"},
		"controls":      {"a\x00b\x1b[31mc\u0085d\te\uffff", "ab[31mcd e"},
		"three are all": {strings.Repeat("a", 459), strings.Repeat("a", 459)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := tidy(tt.text); err != nil || got != tt.want {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	for _, text := range []string{"", " \n\x00", "a\xffb", strings.Repeat("a", 460), strings.Repeat("ر", 202)} {
		if got, err := tidy(text); err == nil || got != "" {
			t.Errorf("%.20q: %.20q, %v", text, got, err)
		}
	}
}
