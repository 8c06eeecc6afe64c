// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// JoinTokenType is the type of the Secrets that hold join tokens.
const JoinTokenType corev1.SecretType = "picolet.dev/join-token"

// A join token is "ID.SECRET": the Secret's name is joinTokenPrefix+ID, and it
// holds the SHA-256 hash of SECRET only.
const (
	joinTokenPrefix = "join-token-"
	tokenIDSize     = 10 // letters and digits of ID
	maxTokenUses    = 10_000
)

// Keys of the Secret's data.
const (
	tokenHash     = "hash"       // SHA-256 of SECRET, hexadecimal
	tokenUses     = "uses"       // how many Devices it lets in
	tokenExpires  = "expires"    // RFC 3339
	tokenNodes    = "node-names" // pattern of path.Match; absent: any
	tokenLabels   = "labels"     // of the nodes, as a=b,c=d
	tokenConsumed = "consumed"   // UIDs of the Devices it let in, one a line
)

// JoinToken is what a new join token shall be.
type JoinToken struct {
	Uses      int               // Required: how many boards it lets in, 1 to 10000
	Expires   time.Time         // Required
	NodeNames string            // Optional [any]: pattern of path.Match
	Labels    map[string]string // Optional [none]: of the nodes
}

// NewJoinToken returns the Secret to create, without a namespace, and the token to
// give to boards: 37 ASCII characters, of which nobody keeps a copy.
func NewJoinToken(t JoinToken) (secret *corev1.Secret, token string, err error) {
	if err := t.validate(); err != nil {
		return nil, "", err
	}
	id, secretPart := strings.ToLower(rand.Text()[:tokenIDSize]), strings.ToLower(rand.Text())
	data := map[string][]byte{
		tokenHash:    []byte(hashToken(secretPart)),
		tokenUses:    []byte(strconv.Itoa(t.Uses)),
		tokenExpires: []byte(t.Expires.UTC().Format(time.RFC3339)),
	}
	if t.NodeNames != "" {
		data[tokenNodes] = []byte(t.NodeNames)
	}
	if len(t.Labels) > 0 {
		data[tokenLabels] = []byte(labels.Set(t.Labels).String())
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: joinTokenPrefix + id},
		Type:       JoinTokenType,
		Data:       data,
	}, id + "." + secretPart, nil
}

func (t *JoinToken) validate() error {
	if t.Uses < 1 || t.Uses > maxTokenUses {
		return fmt.Errorf("a join token has 1 to %d uses, not %d", maxTokenUses, t.Uses)
	}
	if _, err := path.Match(t.NodeNames, ""); err != nil {
		return fmt.Errorf("pattern %q of node names: give one such as pico-*", t.NodeNames)
	}
	if _, err := labels.ConvertSelectorToLabelsMap(labels.Set(t.Labels).String()); err != nil {
		return fmt.Errorf("labels: %w; give them as site=north,row=3", err)
	}
	return nil
}

func hashToken(secretPart string) string {
	sum := sha256.Sum256([]byte(secretPart))
	return hex.EncodeToString(sum[:])
}

// splitToken returns the two parts; false if s cannot be a token. What it lets
// through is safe as part of a name.
func splitToken(s string) (id, secretPart string, ok bool) {
	id, secretPart, ok = strings.Cut(s, ".")
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return "", "", false
		}
	}
	return id, secretPart, ok && len(id) == tokenIDSize && 0 < len(secretPart) && len(secretPart) <= maxWord
}

// joinToken is a Secret that was read.
type joinToken struct {
	JoinToken
	secret   *corev1.Secret
	hash     string
	consumed []string
}

var errTokenSecret = errors.New("this Secret is no join token: delete it, and make one by kubectl pico token create")

func parseJoinToken(s *corev1.Secret) (*joinToken, error) {
	if s.Type != JoinTokenType {
		return nil, errTokenSecret
	}
	t := &joinToken{secret: s, hash: string(s.Data[tokenHash]), consumed: strings.Fields(string(s.Data[tokenConsumed]))}
	t.NodeNames = string(s.Data[tokenNodes])
	var errs [3]error
	t.Uses, errs[0] = strconv.Atoi(string(s.Data[tokenUses]))
	t.Expires, errs[1] = time.Parse(time.RFC3339, string(s.Data[tokenExpires]))
	t.Labels, errs[2] = labels.ConvertSelectorToLabelsMap(string(s.Data[tokenLabels]))
	if errors.Join(errs[:]...) != nil || len(t.hash) != 2*sha256.Size || t.validate() != nil {
		return nil, errTokenSecret
	}
	return t, nil
}

// matches tells in constant time whether secretPart is the token's.
func (t *joinToken) matches(secretPart string) bool {
	return subtle.ConstantTimeCompare([]byte(hashToken(secretPart)), []byte(t.hash)) == 1
}

// usable tells why a Device cannot use the token, or use it again.
func (t *joinToken) usable(device, uid, node string, now time.Time) *Refusal {
	const hint = "kubectl pico approve %[1]s, or kubectl pico token create"
	if !now.Before(t.Expires) {
		return refuse(JoinTokenExpired, device, "the join token of device %s has expired: "+hint, device)
	}
	if ok, _ := path.Match(t.NodeNames, node); !ok && t.NodeNames != "" {
		return refuse(JoinTokenNodeName, device, "the join token of device %s is for nodes %.64s, not for %.63s: "+hint, device, printable(t.NodeNames), node)
	}
	if len(t.consumed) >= t.Uses && !slices.Contains(t.consumed, uid) {
		return refuse(JoinTokenExhausted, device, "the join token of device %s is used up: "+hint, device)
	}
	return nil
}

// consume records a use in the Secret; false if that Device did so before.
func (t *joinToken) consume(uid string) bool {
	if slices.Contains(t.consumed, uid) {
		return false
	}
	t.consumed = append(t.consumed, uid)
	t.secret = t.secret.DeepCopy()
	t.secret.Data[tokenConsumed] = []byte(strings.Join(t.consumed, "\n"))
	return true
}

// TokenInfo is what can be shown of a join token.
type TokenInfo struct {
	ID string
	JoinToken
	Used int // Devices let in
}

// ReadTokenInfo reads a Secret of type [JoinTokenType].
func ReadTokenInfo(s *corev1.Secret) (TokenInfo, error) {
	t, err := parseJoinToken(s)
	if err != nil {
		return TokenInfo{}, fmt.Errorf("secret %s: %w", s.Name, err)
	}
	return TokenInfo{ID: strings.TrimPrefix(s.Name, joinTokenPrefix), JoinToken: t.JoinToken, Used: len(t.consumed)}, nil
}

// TokenSecretName is the name of the Secret of a token, or of its ID.
func TokenSecretName(token string) string {
	id, _, _ := strings.Cut(token, ".")
	return joinTokenPrefix + id
}

// secret reads the Secret of a board's token. Whether the ID or the rest is wrong,
// the answer is the same.
func (e *Enrolment) secret(ctx context.Context, hello Hello) (*joinToken, *Refusal) {
	device := hello.Key.Name()
	invalid := refuse(JoinTokenInvalid, device, "the join token of device %s is not known here: kubectl pico approve %[1]s, or kubectl pico token create", device)
	id, secretPart, ok := splitToken(hello.JoinToken)
	if !ok {
		return nil, invalid
	}
	s, err := e.secrets.Get(ctx, joinTokenPrefix+id, metav1.GetOptions{})
	if r := tokenError(err, device, invalid); r != nil {
		return nil, r
	}
	t, err := parseJoinToken(s)
	if err != nil {
		e.log.Error("Join token cannot be read", "secret", s.Name, "err", err)
		return nil, invalid
	}
	if !t.matches(secretPart) {
		return nil, invalid
	}
	return t, nil
}
