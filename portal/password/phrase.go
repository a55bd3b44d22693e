package password

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"

	crand "crypto/rand"

	"github.com/sethvargo/go-diceware/diceware"

	"postern/directory"
)

// phraseWords of the EFF's large list (7776 words) and two digits: 58 bits. There
// are more only where the rules want a longer one.
const phraseWords = 4

// ErrNoPhrase: the rules leave no room for a passphrase.
var ErrNoPhrase = errors.New("password: no passphrase fits these rules")

// Passphrase makes one that keeps every rule the judge knows, with three of
// Active Directory's classes whether they are asked for or not. rand must be a
// source of randomness fit for secrets. No service of leaked passwords is asked:
// what nobody ever chose is on no list, and the page would wait for it.
func (j *Judge) Passphrase(rand io.Reader, rules directory.Rules, who directory.User) (directory.Secret, error) {
	gen, err := diceware.NewGenerator(&diceware.GeneratorInput{RandReader: rand})
	if err != nil {
		return directory.Secret{}, fmt.Errorf("password: %w", err)
	}
	n := phraseWords
	for range 32 {
		words, err := gen.Generate(n)
		if err != nil {
			return directory.Secret{}, fmt.Errorf("password: no randomness: %w", err)
		}
		digits, err := crand.Int(rand, big.NewInt(100))
		if err != nil {
			return directory.Secret{}, fmt.Errorf("password: no randomness: %w", err)
		}
		words[0] = strings.ToUpper(words[0][:1]) + words[0][1:]
		pw := directory.NewSecret(fmt.Sprintf("%s-%02d", strings.Join(words, "-"), digits))
		if len(j.here(pw, rules, who)) == 0 {
			return pw, nil
		}
		if pw.Len() < j.least(rules) {
			n++
		}
	}
	return directory.Secret{}, ErrNoPhrase
}
