// A thin, exception-safe skin over SQLite: a database, a prepared statement, a transaction. Every failure becomes one
// Error that names the file and what was being done, so that nothing above needs to know a result code.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace bittern::tuning {

// The file is there and readable, and cannot be used: damaged or somebody else's.
class UnusableDatabase : public Error {
 public:
  using Error::Error;
};

// A newer version of the programs wrote it, and will want it again.
class NewerDatabase : public Error {
 public:
  using Error::Error;
};

class Database {
 public:
  // Opens or creates `path`. Throws Error when it cannot be opened.
  explicit Database(const std::string &path);
  ~Database();
  Database(const Database &) = delete;
  Database &operator=(const Database &) = delete;

  void execute(const std::string &sql);
  int64_t integer(const std::string &sql);  // first column of the first row, 0 when there is none
  std::string text(const std::string &sql);
  const std::string &path() const { return path_; }
  sqlite3 *handle() const { return handle_; }
  [[noreturn]] void fail(const std::string &what) const;

 private:
  std::string path_;
  sqlite3 *handle_ = nullptr;
};

// One prepared statement. bind() fills the parameters in order; step() is true while there is a row.
class Statement {
 public:
  Statement(Database &database, const std::string &sql);
  ~Statement();
  Statement(const Statement &) = delete;
  Statement &operator=(const Statement &) = delete;

  Statement &bind(int64_t value);
  Statement &bind(double value);
  Statement &bind(std::string_view value);
  Statement &blob(std::string_view value);
  // Ids or texts as one JSON array, for json_each(): many rows are asked for at once.
  Statement &list(const std::vector<int64_t> &values);
  Statement &list(const std::vector<std::string> &values);
  bool step();
  void run();               // steps to the end, then is ready to be bound again
  int64_t run_returning();  // the same; gives the first column of the row that RETURNING made

  int64_t integer(int column) const;
  double real(int column) const;
  std::string text(int column) const;
  std::string bytes(int column) const;

 private:
  Database &database_;
  sqlite3_stmt *statement_ = nullptr;
  int next_ = 1;
};

// Commits when commit() was called, else rolls back. IMMEDIATE, so that a writer never fails half-way on a lock.
class Transaction {
 public:
  explicit Transaction(Database &database);
  ~Transaction();
  void commit();

 private:
  Database &database_;
  bool open_ = true;
};

}  // namespace bittern::tuning
