#!/usr/bin/env python3
"""Writes this folder's tokenizers of every kind, and what the reference implementations make of the test strings.

usage: make_fixtures.py   (needs PyPI's tokenizers 0.23, sentencepiece 0.2 and gguf 0.19; the files are committed,
tests need none of these)

The strings are those of small_bpe_fixture.json, the training text is tests/data/demo-reference/heldout.txt.
"""
import json
import random
import tempfile
from pathlib import Path

import gguf
import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2 as pb
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

HERE = Path(__file__).parent
TEXT = (HERE / "../demo-reference/heldout.txt").read_text(encoding="utf-8")
STRINGS = [row["text"] for row in json.loads((HERE / "small_bpe_fixture.json").read_text())["cases"]]
STRINGS += ["ﬁne ①②③ ｶﾞｷﾞ Åﬀ", "  two  spaces  ", "e\u0301\u0323 \u1e69 \u212b \u2126", "가각 \u1100\u1161\u11a8", "x<extra>y <extra>z", "[one]a [one] b[one]"]


def dump(name, value):
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":")).replace("},{", "},\n{")
    (HERE / name).write_text(text + "\n")


def cases_of_spm(processor):
    rows = []
    for text in STRINGS:
        if "\0" not in text:  # which the Python binding cannot pass
            ids = processor.encode(text)
            rows.append({"text": text, "ids": ids, "decoded": processor.decode(ids)})
    return rows


def cases_of_hf(tokenizer):
    rows = []
    for text in STRINGS:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        row = {"text": text, "ids": ids}
        decoded = tokenizer.decode(ids, skip_special_tokens=False)
        if decoded != text:
            row["decoded"] = decoded
        rows.append(row)
    return rows


def train(name, **options):
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.txt"
        corpus.write_text(TEXT + "\n" + "\n".join(s for s in STRINGS if "\0" not in s), encoding="utf-8")
        prefix = Path(folder) / "model"
        spm.SentencePieceTrainer.train(input=str(corpus), model_prefix=str(prefix), num_threads=1, minloglevel=2, **options)
        blob = (Path(folder) / "model.model").read_bytes()
    message = pb.ModelProto.FromString(blob)
    message.trainer_spec.ClearField("input")
    message.trainer_spec.ClearField("model_prefix")
    blob = message.SerializeToString()
    (HERE / f"{name}.model").write_bytes(blob)
    processor = spm.SentencePieceProcessor(model_proto=blob)
    dump(f"{name}_fixture.json", {"source": "sentencepiece " + spm.__version__, "cases": cases_of_spm(processor)})
    return message


def unigram_as_json(message):
    """The same pieces as Hugging Face's converter writes them."""
    pieces = [(p.piece, p.score) for p in message.pieces]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Precompiled(message.normalizer_spec.precompiled_charsmap), normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    tokenizer.save(str(HERE / "unigram_tokenizer.json"), pretty=False)
    dump("unigram_json_fixture.json", {"source": "tokenizers", "cases": cases_of_hf(tokenizer)})


def character_bpe_as_json():
    """small_spm.model as Hugging Face's converters write Llama-2's (a normaliser) and Gemma's (no prefix)."""
    message = pb.ModelProto.FromString((HERE / "small_spm.model").read_bytes())
    ids = {p.piece: i for i, p in enumerate(message.pieces)}
    scores = {p.piece: p.score for p in message.pieces if p.type == 1}
    merges = []
    for piece, score in scores.items():
        pairs = [(piece[:i], piece[i:]) for i in range(1, len(piece)) if piece[:i] in ids and piece[i:] in ids]
        merges += [(-score, ids[l], ids[r], (l, r)) for l, r in pairs]
    merges = [m[3] for m in sorted(merges)]
    for kind in ("llama", "gemma", "metaspace"):
        tokenizer = Tokenizer(models.BPE(ids, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        spaces = normalizers.Replace(" ", "▁")
        steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        if kind == "llama":
            tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), spaces])
            steps.append(decoders.Strip(" ", 1, 0))
        elif kind == "gemma":
            tokenizer.normalizer = spaces
            tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
        else:
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
            steps.append(decoders.Strip(" ", 1, 0))
        tokenizer.decoder = decoders.Sequence(steps)
        tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
        tokenizer.add_tokens([AddedToken("<extra>", normalized=False, lstrip=True, rstrip=True), AddedToken("[one]", normalized=False, single_word=True)])
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
        tokenizer.save(str(HERE / f"{kind}_tokenizer.json"), pretty=False)
        dump(f"{kind}_fixture.json", {"source": "tokenizers", "cases": cases_of_hf(tokenizer)})


# Pre-tokenizers and normalizers that models use, each over the small byte-level vocabulary.
QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
P = pre_tokenizers
BYTES = P.ByteLevel(add_prefix_space=False, use_regex=False)
FORMS = {
    "qwen": (normalizers.NFC(), P.Sequence([P.Split(Regex(QWEN), "isolated"), BYTES])),
    "gpt2": (None, P.ByteLevel(add_prefix_space=False)),
    "gpt2_prefix": (None, P.ByteLevel(add_prefix_space=True)),
    "falcon": (None, P.Sequence([P.Punctuation("contiguous"), P.ByteLevel(add_prefix_space=False), P.Digits(), P.Split(Regex("[0-9][0-9][0-9]"), "isolated")])),
    "digits": (None, P.Sequence([P.Digits(individual_digits=True), P.ByteLevel(add_prefix_space=False)])),
    "previous": (normalizers.NFKC(), P.Sequence([P.Split(" ", "merged_with_previous"), BYTES])),
    "next": (normalizers.NFD(), P.Sequence([P.Split(Regex(r"[aeiou ]"), "merged_with_next"), BYTES])),
    "contiguous": (normalizers.NFKD(), P.Sequence([P.Split(Regex(r"[aeiou ]"), "contiguous", invert=True), BYTES])),
    "whitespace": (normalizers.Strip(), P.Sequence([P.Whitespace(), BYTES])),
    "whitespace_split": (normalizers.Replace(Regex("[aeiou]+"), "ov"), P.Sequence([P.WhitespaceSplit(), P.Punctuation(), BYTES])),
}


def byte_level_forms():
    base = json.loads((HERE / "small_bpe_tokenizer.json").read_text())
    out = {}
    for name, (normalizer, pre) in FORMS.items():
        tokenizer = Tokenizer.from_str(json.dumps(base))
        if normalizer is not None:
            tokenizer.normalizer = normalizer
        tokenizer.pre_tokenizer = pre
        written = json.loads(tokenizer.to_str())
        out[name] = {"normalizer": written["normalizer"], "pre_tokenizer": written["pre_tokenizer"], "ids": [tokenizer.encode(s, add_special_tokens=False).ids for s in STRINGS]}
    dump("byte_level_forms_fixture.json", {"source": "tokenizers", "texts": STRINGS, "forms": out})


def unknown_pieces():
    """User-defined, unused and unknown pieces, without byte fallback: both kinds of model, a charsmap or none."""
    for kind, model_type in (("unigram", 1), ("bpe", 2)):
        message = pb.ModelProto.FromString((HERE / ("small_unigram.model" if kind == "unigram" else "small_spm.model")).read_bytes())
        r = random.Random(3)
        kept = pb.ModelProto.FromString(message.SerializeToString())
        del kept.pieces[:]
        for p in message.pieces:
            if p.type == 6:  # bytes
                continue
            q = kept.pieces.add()
            q.CopyFrom(p)
            if p.type == 1 and len(p.piece) > 1 and r.random() < 0.3:
                q.type = 5
        for text in ("<extra>", "the", "▁▁", "①②"):
            for p in list(kept.pieces):
                if p.piece == text:
                    kept.pieces.remove(p)
            q = kept.pieces.add()
            q.piece, q.type, q.score = text, 4, 0
        kept.trainer_spec.byte_fallback = False
        kept.trainer_spec.model_type = model_type
        kept.trainer_spec.vocab_size = len(kept.pieces)
        blob = kept.SerializeToString()
        (HERE / f"types_{kind}.model").write_bytes(blob)
        dump(f"types_{kind}_fixture.json", {"source": "sentencepiece " + spm.__version__, "cases": cases_of_spm(spm.SentencePieceProcessor(model_proto=blob))})


def gguf_file(name, model, pieces, folder=HERE, **more):
    """A GGUF file of nothing but a tokenizer, in the keys that bitnet.cpp's and llama.cpp's converters use."""
    writer = gguf.GGUFWriter(folder / f"{name}.gguf", "llama")
    writer.add_tokenizer_model(model)
    writer.add_token_list([p[0] for p in pieces])
    if model != "gpt2":
        writer.add_token_scores([p[1] for p in pieces])
    writer.add_token_types([p[2] for p in pieces])
    for key, value in more.items():
        getattr(writer, "add_" + key)(value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def gguf_files():
    base = json.loads((HERE / "small_bpe_tokenizer.json").read_text())
    special = {t["id"]: t["content"] for t in base["added_tokens"]}
    tokens = {i: t for t, i in base["model"]["vocab"].items()} | special
    pieces = [(tokens[i], 0, 3 if i in special else 1) for i in range(len(tokens))] + [("[PAD]", 0, 5)]
    merges = [" ".join(m) for m in base["model"]["merges"]]
    bos = base["post_processor"]["special_tokens"]["<|begin_of_text|>"]["ids"][0]
    gguf_file("small_bpe", "gpt2", pieces, tokenizer_pre="llama-bpe", token_merges=merges, bos_token_id=bos, add_bos_token=True)
    message = pb.ModelProto.FromString((HERE / "small_spm.model").read_bytes())
    pieces = [(p.piece, p.score, p.type) for p in message.pieces]
    gguf_file("small_spm", "llama", pieces, bos_token_id=1, eos_token_id=2, unk_token_id=0, add_bos_token=True, add_space_prefix=True)
    message = pb.ModelProto.FromString((HERE / "small_unigram.model").read_bytes())
    pieces = [(p.piece, p.score, p.type) for p in message.pieces]
    gguf_file("small_unigram", "t5", pieces, eos_token_id=2, unk_token_id=0, add_space_prefix=True, remove_extra_whitespaces=True, precompiled_charsmap=message.normalizer_spec.precompiled_charsmap)


def fuzz_seeds():
    """Small files of every kind for the fuzzers to begin with."""
    seeds = HERE / "../../fuzz/corpus"
    message = pb.ModelProto.FromString((HERE / "types_bpe.model").read_bytes())
    kept = [p for p in message.pieces if p.type != 1 or len(p.piece) > 3 or p.piece in "theab▁ 12"][:60]
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.tsv"
        rules.write_text("41 42\t43\n41\t61\n3000\t20\n")
        corpus = Path(folder) / "corpus.txt"
        corpus.write_text(TEXT[:20000])
        spm.SentencePieceTrainer.train(input=str(corpus), model_prefix=str(Path(folder) / "m"), vocab_size=90, model_type="unigram", normalization_rule_tsv=str(rules), minloglevel=2, num_threads=1)
        charsmap = pb.ModelProto.FromString((Path(folder) / "m.model").read_bytes()).normalizer_spec.precompiled_charsmap
    for name, model_type, table in (("bpe", 2, b""), ("bpe_charsmap", 2, charsmap), ("unigram", 1, charsmap)):
        small = pb.ModelProto()
        small.trainer_spec.model_type = model_type
        small.normalizer_spec.precompiled_charsmap = table
        small.normalizer_spec.add_dummy_prefix = name != "bpe"
        for p in kept:
            small.pieces.add().CopyFrom(p)
        (seeds / "sentencepiece_fuzz" / f"{name}.model").write_bytes(small.SerializeToString())
    byte_pieces = [(f"<0x{i:02X}>", 0, 6) for i in range(256)]
    pieces = [("<unk>", 0, 2), ("<s>", 0, 3), ("▁", -9, 1), ("t", -5, 1), ("h", -6, 1), ("e", -7, 1), ("th", -1, 1), ("the", -2, 1), ("▁the", -3, 1), ("<x>", 0, 4), ("▁▁", 0, 4), ("he", -4, 5)]
    folder = seeds / "gguf_tokenizer_fuzz"
    gguf_file("llama", "llama", pieces, folder, bos_token_id=1, unk_token_id=0)
    gguf_file("llama_bytes", "llama", pieces[:9] + byte_pieces, folder, bos_token_id=1, unk_token_id=0, add_space_prefix=False)
    gguf_file("t5", "t5", pieces, folder, eos_token_id=1, unk_token_id=0, precompiled_charsmap=charsmap)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    letters = [(c, 0, 1) for c in alphabet] + [("th", 0, 1), ("the", 0, 1), ("<|x|>", 0, 3), ("<y>", 0, 4), ("[PAD]", 0, 5)]
    gguf_file("gpt2", "gpt2", letters, folder, token_merges=["t h", "th e"], bos_token_id=258)
    gguf_file("qwen2", "gpt2", letters, folder, tokenizer_pre="qwen2", token_merges=["t h", "th e"], eos_token_id=258, add_eos_token=True)
    for name, normalizer, pre, model in (
        ("unigram", normalizers.Sequence([normalizers.NFKC(), normalizers.Precompiled(charsmap), normalizers.Strip()]), pre_tokenizers.Metaspace(), models.Unigram([("<unk>", 0.0), ("▁", -2.0), ("a", -1.0), ("ab", -1.5), ("b", -3.0)], 0, False)),
        ("characters", normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None, models.BPE({"<unk>": 0, "▁": 1, "a": 2, "b": 3, "ab": 4, "▁ab": 5, "<0x41>": 6}, [("a", "b"), ("▁", "ab")], unk_token="<unk>", fuse_unk=True, byte_fallback=True)),
    ):
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = normalizer
        if pre is not None:
            tokenizer.pre_tokenizer = pre
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
        tokenizer.add_tokens([AddedToken("<x>", normalized=True, lstrip=True, single_word=True)])
        (seeds / "tokenizer_fuzz" / f"{name}.json").write_text("j" + tokenizer.to_str())


def main():
    message = train("small_unigram", vocab_size=1000, model_type="unigram", normalization_rule_name="nmt_nfkc", character_coverage=0.98, pad_id=-1, user_defined_symbols=["<extra>"])
    unigram_as_json(message)
    character_bpe_as_json()
    byte_level_forms()
    unknown_pieces()
    gguf_files()
    fuzz_seeds()


main()
