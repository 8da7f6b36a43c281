-- A database as version 0.2 wrote it (schema 1), with one problem tuned: records_test opens it.
PRAGMA application_id = 1112831342;
PRAGMA user_version = 1;
CREATE TABLE machines(
  id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, vendor TEXT NOT NULL, brand TEXT NOT NULL,
  family INTEGER NOT NULL, model INTEGER NOT NULL, stepping INTEGER NOT NULL, isa INTEGER NOT NULL,
  generator TEXT NOT NULL, cores INTEGER NOT NULL, cache_bytes INTEGER NOT NULL) STRICT;
CREATE TABLE problems(
  id INTEGER PRIMARY KEY, machine INTEGER NOT NULL REFERENCES machines(id), key TEXT NOT NULL,
  spec TEXT NOT NULL, spec_hash TEXT NOT NULL, spec_text TEXT NOT NULL, fixed TEXT NOT NULL,
  m_min INTEGER NOT NULL, m_max INTEGER NOT NULL, m INTEGER NOT NULL, has_m INTEGER NOT NULL,
  threads INTEGER NOT NULL, target TEXT NOT NULL, UNIQUE(machine, key)) STRICT;
CREATE TABLE objects(
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL, descriptor TEXT NOT NULL,
  compile_ms REAL NOT NULL, library BLOB NOT NULL, library_sha256 TEXT NOT NULL) STRICT;
CREATE TABLE object_parts(
  object INTEGER NOT NULL REFERENCES objects(id), part INTEGER NOT NULL, bytes BLOB NOT NULL,
  PRIMARY KEY(object, part)) STRICT;
CREATE TABLE proofs(
  id INTEGER PRIMARY KEY, object INTEGER NOT NULL REFERENCES objects(id), sizes TEXT NOT NULL,
  proof_id TEXT NOT NULL, inputs TEXT NOT NULL, reference TEXT NOT NULL, passed INTEGER NOT NULL,
  reason TEXT NOT NULL, UNIQUE(object, sizes)) STRICT;
CREATE TABLE candidates(
  id INTEGER PRIMARY KEY, problem INTEGER NOT NULL REFERENCES problems(id), schedule TEXT NOT NULL,
  shipped_default INTEGER NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL, prior REAL NOT NULL,
  build TEXT NOT NULL, object INTEGER REFERENCES objects(id), proof INTEGER REFERENCES proofs(id),
  UNIQUE(problem, schedule, shipped_default)) STRICT;
CREATE TABLE samples(
  id INTEGER PRIMARY KEY, problem INTEGER NOT NULL REFERENCES problems(id),
  candidate INTEGER NOT NULL REFERENCES candidates(id), object INTEGER NOT NULL REFERENCES objects(id),
  run INTEGER NOT NULL, round INTEGER NOT NULL, us REAL NOT NULL) STRICT;
CREATE INDEX samples_by_problem ON samples(problem);
CREATE TABLE roofs(
  id INTEGER PRIMARY KEY, problem INTEGER NOT NULL REFERENCES problems(id), run INTEGER NOT NULL,
  round INTEGER NOT NULL, kind TEXT NOT NULL, value REAL NOT NULL) STRICT;
CREATE INDEX roofs_by_problem ON roofs(problem);
CREATE TABLE winners(
  problem INTEGER PRIMARY KEY REFERENCES problems(id), candidate INTEGER NOT NULL REFERENCES candidates(id),
  us_median REAL NOT NULL, default_us REAL NOT NULL, speedup REAL NOT NULL, roof_pct REAL NOT NULL,
  roof_read_gb_s REAL NOT NULL, roof_int8_gop_s REAL NOT NULL, tie INTEGER NOT NULL, patience TEXT NOT NULL,
  finished TEXT NOT NULL) STRICT;
CREATE TABLE runs(id INTEGER PRIMARY KEY AUTOINCREMENT, started TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) STRICT;
INSERT INTO machines VALUES(1, 'f00d', 'TestVendor', 'Test', 6, 85, 7, 255, 'bittern 0.2.0', 2, 1048576);
INSERT INTO problems VALUES(1, 1, 'w2a8_matmul@abc;K=128,N=64;m=5-8;x86-64-avx2;at=8;t=2', 'w2a8_matmul', 'abc',
  'kernel w2a8_matmul(M, N, K) { in W : ternary[N, K] in A : i8[M, K] pad 64 out Y : i32[M, N] Y[m, n] = sum(k: K) i32(W[n, k]) * i32(A[m, k]) }', '{"K":128,"N":64}', 5, 8, 8, 1, 2, 'x86-64-avx2');
INSERT INTO objects VALUES(1, 'key', '1dc722197716671b0506e6629ac9b41fa5d8f582d7e96a6b03917f2a1c41a9fc', '{}', 12.5,
  x'7f454c46206c696e6b6564', 'eb95dfc71859b5a1b759e38c045764c1ba557105023d6fb90cacc1426c757f0a');
INSERT INTO object_parts VALUES(1, 0, x'7f454c462070617274206f6e65');
INSERT INTO object_parts VALUES(1, 1, x'706172742074776f');
INSERT INTO proofs VALUES(1, 1, '{"K":128,"M":8,"N":64}', '0123456789abcdef', '["random"]', '52367a6622b19f08825e915fad80c542ad4f4c34dbcebad9f5007994b3e39208', 1, '');
INSERT INTO candidates VALUES(1, 1, 'llvm.gemv{layout=i2q32,rows=4}', 0, 'timed', '', 2.0, '0.2.0-1-1', 1, 1);
INSERT INTO candidates VALUES(2, 1, 'llvm.gemv{layout=i2q32,rows=8}', 0, 'rejected', 'int16 overflows', 3.0, '0.2.0-1-1', NULL, NULL);
INSERT INTO samples VALUES(1, 1, 1, 1, 1, 0, 81.5);
INSERT INTO samples VALUES(2, 1, 1, 1, 1, 1, 80.25);
INSERT INTO roofs VALUES(1, 1, 1, 0, 'read_gb_s', 27.5);
INSERT INTO winners VALUES(1, 1, 80.5, 100.0, 1.24, 91.0, 27.5, 0.0, 0, 'quick', '2026-10-01 12:00:00');
INSERT INTO runs VALUES(1, '2026-10-01 12:00:00');
