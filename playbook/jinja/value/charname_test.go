package value

import "testing"

func TestCharNamed(t *testing.T) {
	for _, c := range []struct {
		name string
		want rune // 0: no such name
	}{
		{"BULLET", '•'},
		{"bullet", '•'},
		{"LATIN SMALL LETTER E WITH ACUTE", 'é'},
		{"SNOWMAN", '☃'},
		{"GRINNING FACE", '😀'},
		{"TAG SPACE", 0xe0020},
		{"CJK UNIFIED IDEOGRAPH-4E2D", '中'},
		{"CJK UNIFIED IDEOGRAPH-0041", 0},
		{"HANGUL SYLLABLE GA", '가'},
		{"HANGUL SYLLABLE HAN", '한'},
		{"HANGUL SYLLABLE A", '아'},
		{"HANGUL SYLLABLE GGWAELG", 0xaf6d},
		{"HANGUL SYLLABLE HIH", '힣'},
		{"<control>", 0},
		{"NO SUCH NAME", 0},
		{"", 0},
	} {
		if got, ok := CharNamed(c.name); got != c.want && ok || ok != (c.want != 0) {
			t.Errorf("%s is %U, %t, want %U", c.name, got, ok, c.want)
		}
	}
}

func TestExpandNames(t *testing.T) {
	for _, c := range []struct{ pattern, want string }{
		{`a\N{BULLET}b`, `a\U00002022b`},
		{`\\N{BULLET}`, `\\N{BULLET}`},
		{`\\\N{BULLET}`, `\\\U00002022`},
		{`[\N{BULLET}]\N`, `[\U00002022]\N`},
		{`\d\N{`, `\d\N{`},
	} {
		if got, err := ExpandNames(c.pattern); got != c.want || err != nil {
			t.Errorf("%s is %s, %v, want %s", c.pattern, got, err, c.want)
		}
	}
	if _, err := ExpandNames(`é\N{NOPE}`); err == nil || err.Error() != "undefined character name 'NOPE' at position 1" {
		t.Errorf("got %v", err)
	}
}
