// Words to token ids, as BERT's tokenizers do: the same ids as kgen gives in Python.
//
// A text is split at white space, at punctuation and around each Chinese character, in lower case and without accents.
// A word becomes the longest pieces of the vocabulary that it is made of, from left to right; those within a word begin
// with "##". A word that cannot be made of pieces is one unknown token.

const INVISIBLE =
  /[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]/gu;
const BLANK = /[\s\p{Cc}\p{Cf}]/u;
const PUNCTUATION = /[!-/:-@[-`{-~\p{P}]/u;
const CHINESE = new RegExp(
  "[\\u{4E00}-\\u{9FFF}\\u{3400}-\\u{4DBF}\\u{20000}-\\u{2A6DF}\\u{2A700}-\\u{2B73F}\\u{2B740}-\\u{2B81F}" +
    "\\u{2B820}-\\u{2CEAF}\\u{F900}-\\u{FAFF}\\u{2F800}-\\u{2FA1F}]",
  "u",
);

export class Tokenizer {
  // What the `.tokenizer.json` beside an exported model holds.
  constructor({ model, normalizer, truncation, post_processor, padding }) {
    if (model.type !== "WordPiece") throw new Error(`There must be a WordPiece model; got ${model.type}.`);
    const bert = normalizer.normalizers.find((each) => each.type === "BertNormalizer");
    this.ids = new Map(Object.entries(model.vocab));
    this.within = model.continuing_subword_prefix;
    this.longest = model.max_input_chars_per_word;
    this.unknown = this.ids.get(model.unk_token);
    this.lowercase = bert.lowercase;
    this.stripsAccents = bert.strip_accents;
    this.length = truncation.max_length;
    const [start, , end] = post_processor.single;
    [this.start, this.end] = [start, end].map((each) => this.ids.get(each.SpecialToken.id));
    this.padding = padding.pad_id;
  }

  static async from(address) {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`${address}: ${answer.status} ${answer.statusText}`);
    return new Tokenizer(await answer.json());
  }

  // The inputs of the model, arrays of `length` numbers. Longer texts are cut.
  encode(text) {
    const pieces = this.words(text).flatMap((word) => this.pieces(word));
    const tokens = [this.start, ...pieces.slice(0, this.length - 2), this.end];
    const filled = (values, blank) => [...values, ...Array(this.length - values.length).fill(blank)];
    return { token_ids: filled(tokens, this.padding), padding_mask: filled(tokens.map(() => 1), 0) };
  }

  words(text) {
    text = text.normalize("NFKC").replace(INVISIBLE, "");
    if (this.lowercase) text = lower(text);
    if (this.stripsAccents) text = text.normalize("NFD").replace(/\p{Mn}/gu, "");
    const words = [];
    let word = "";
    const end = () => {
      if (word) words.push(word);
      word = "";
    };
    for (const letter of text) {
      const alone = PUNCTUATION.test(letter) || CHINESE.test(letter);
      if (alone || BLANK.test(letter)) end();
      if (alone) words.push(letter);
      else if (!BLANK.test(letter)) word += letter;
    }
    end();
    return words;
  }

  pieces(word) {
    const letters = [...word];
    if (letters.length > this.longest) return [this.unknown];
    const found = [];
    for (let start = 0; start < letters.length; ) {
      let end = letters.length;
      const piece = () => (start ? this.within : "") + letters.slice(start, end).join("");
      while (end > start && !this.ids.has(piece())) end--;
      if (end === start) return [this.unknown];
      found.push(this.ids.get(piece()));
      start = end;
    }
    return found;
  }
}

// What Python's casefold does that lower case does not, as far as letters go that people type.
function lower(text) {
  return text.toLowerCase().replace(/ß/g, "ss").replace(/ς/g, "σ");
}
