# SPDX-License-Identifier: Apache-2.0
"""Random and nasty strings of code points assigned in Unicode 14."""
import unicodedata

if unicodedata.unidata_version > "14":
    # A newer table also assigns newer code points; the ones of Unicode 15 and later in brief.
    NEWER = {*range(0x2ffc, 0x3000), 0x31ef, 0x0cf3, 0x0ece, *range(0x10efd, 0x10f00),
             *range(0x1123f, 0x11242), *range(0x11b00, 0x11b0a), *range(0x11f00, 0x11f5a),
             0x1342f, *range(0x13439, 0x13456), 0x1b132, 0x1b155, *range(0x1d2c0, 0x1d2d4),
             *range(0x1df25, 0x1df2b), *range(0x1e030, 0x1e08f + 1), *range(0x1e4d0, 0x1e4fa),
             0x1f6dc, *range(0x1f774, 0x1f777), *range(0x1f77b, 0x1f780), 0x1f7d9,
             *range(0x1fa75, 0x1fa78), *range(0x1fa87, 0x1fa89), *range(0x1faad, 0x1fab0),
             *range(0x1fabb, 0x1fabe), 0x1fabf, *range(0x1face, 0x1fad0), *range(0x1fada, 0x1fadc),
             0x1fae8, *range(0x1faf7, 0x1faf9), 0x2b739, *range(0x2ebf0, 0x2ee5e),
             *range(0x31350, 0x323b0)}
else:
    NEWER = set()
ASSIGNED = [c for c in range(0x110000)
            if c not in NEWER and unicodedata.category(chr(c)) not in ("Cn", "Cs")]
BY_CATEGORY = {}
for _c in ASSIGNED:
    BY_CATEGORY.setdefault(unicodedata.category(chr(_c)), []).append(_c)
PLANES = [[c for c in ASSIGNED if c >> 16 == plane] for plane in range(17)]
PLANES = [plane for plane in PLANES if plane]

SPACES = [" ", "  ", "\t", "\n", "\r", "\r\n", "\n\n", "\v", "\f", "\x1c", "\x85", "\xa0", "\u1680",
          "\u180e", "\u2000", "\u200a", "\u200b", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000",
          "\ufeff", " " * 7, " " * 23, " " * 24, " " * 50]
APOSTROPHES = [q + e for q in "'\u2019" for e in
               ("s", "S", "\u017f", "t", "T", "re", "RE", "rE", "ve", "m", "M", "ll", "lL", "d", "D",
                "x", "")]
CASES = list("\u017f\u212a\u0130\u0131ßẞŉǰﬁﬀﬆKkSsİi") + ["ss", "st", "ff"]
WORDS = ["word", "words", "Hello", "the", "naïve", "e\u0301x", "é", "e\u0301", "checkpoint", "x", "abc",
         " zzz", "青", "한국어", "가각", "ß", "日本語", "ab", "ac", "Greek αβγ", "AB", "ff", "m²",
         "\xb3\xb9a", " \xbc\xbd", "\xbex"]


class Strings:
    def __init__(self, rng, added):
        self.rng = rng
        self.added = added or ["<|endoftext|>"]

    def characters(self, pool, most=8):
        return "".join(chr(c) for c in self.rng.choices(pool, k=self.rng.randint(1, most)))

    def any_category(self):
        return self.characters(self.rng.choice(list(BY_CATEGORY.values())), 4)

    def any_plane(self):
        return self.characters(self.rng.choice(PLANES))

    def digits(self):
        return self.characters(BY_CATEGORY[self.rng.choice(["Nd", "Nl", "No"])])

    def ascii_digits(self):
        return str(self.rng.randrange(10 ** self.rng.randint(1, 12)))

    def ascii(self):
        return "".join(chr(self.rng.randrange(128)) for _ in range(self.rng.randint(1, 12)))

    def marks(self):
        base = self.rng.choice("aeiouAEOcnsyZ가각\u1100\u1112가αωקक")
        return base + self.characters(BY_CATEGORY["Mn"], 5)

    def hangul(self):
        pieces = [chr(self.rng.randrange(0x1100, 0x1113)), chr(self.rng.randrange(0x1161, 0x1176)),
                  chr(self.rng.randrange(0x11a7, 0x11c3)), chr(self.rng.randrange(0xac00, 0xd7a4))]
        return "".join(self.rng.choices(pieces, k=self.rng.randint(1, 6)))

    def cased(self):
        return self.rng.choice(CASES) + self.rng.choice(CASES)

    def added_token(self):
        token = self.rng.choice(self.added)
        cut = self.rng.randrange(len(token) + 1)
        return self.rng.choice([token, token, token + token, token[:cut], token[cut:],
                                token[:cut] + token, "a" + token + "b", " " + token + "  "])

    def piece(self):
        return self.rng.choice([
            self.any_category, self.any_plane, self.digits, self.ascii_digits, self.ascii, self.marks,
            self.hangul, self.cased, self.added_token,
            lambda: self.rng.choice(SPACES), lambda: self.rng.choice(SPACES),
            lambda: self.rng.choice(APOSTROPHES), lambda: self.rng.choice(WORDS)])()

    def code_points(self, most):
        """Every assigned code point once alone and once around an added token (but for private use), or
        so many stretches of them, drawn at random."""
        step = 64
        begins = [(i, around) for around in (False, True) for i in range(0, len(ASSIGNED), step)
                  if unicodedata.category(chr(ASSIGNED[i])) not in (("Co", "Lo") if around else ("Co",))]
        chosen = begins if most >= len(begins) else self.rng.sample(begins, most)
        tokens = [self.rng.choice(self.added) if around else "" for _, around in chosen]
        return ["".join(chr(c) + token + chr(c) * around for c in ASSIGNED[i:i + step])
                for (i, around), token in zip(chosen, tokens)]

    def fixed(self):
        """Empty, NUL, every added token, very long words."""
        return ["", "\0", "a\0b", *self.added, "".join(self.added), " ".join(self.added),
                "a" * 5000, "ab" * 5000, " " * 5000, "\n" * 3000, "é" * 3000, "1" * 4000,
                "'s" * 2000, " a" * 3000, "e\u0301" * 2000, "\u1112\u1161\u11ab" * 1000,
                "".join(self.rng.choices("abcdefghij", k=20000))]

    def long(self):
        """So long a text that sums of scores in single precision become coarse."""
        return "".join(self.piece() for _ in range(12000))

    def make(self, count):
        """`count` random strings beside the fixed ones and half as many of code points."""
        return self.fixed() + self.code_points(count // 2) + [self.long()] + [
            "".join(self.piece() for _ in range(self.rng.randint(1, 9))) for _ in range(count)]
