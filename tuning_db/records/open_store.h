// Opening a tuning database: who may have written it, what happens to one that cannot be used, and a lock so that
// tuners that start together do not get in each other's way.
#pragma once
#include <memory>
#include <string>

#include "tuning_db/records/store.h"

namespace bittern::tuning {

// Opens or creates `path` and its folder. A database that another user could have written is refused before it is
// opened: it holds machine code that is run. `notice` is set to a line for the user where there is something to say.
// When it is the default database (not one the user named) and it is damaged or somebody else's file, it is renamed
// aside (kept, never deleted) and a fresh one is made; one of a newer version is left alone. Throws Error.
std::unique_ptr<Store> open_store(const std::string &path, bool is_default, std::string &notice);

// The same for a database that must be there already.
std::unique_ptr<Store> open_existing_store(const std::string &path, std::string &notice);

// Why another user could have written this database: its owner or mode, or those of its folder or of the files that
// SQLite keeps beside it; empty when nobody could. What is not there is nobody's.
std::string foreign_database(const std::string &path);

}  // namespace bittern::tuning
