// The tables of the SQLite store and how older ones become them.
#pragma once
#include "tuning_db/records/sqlite.h"

namespace bittern::tuning {

inline constexpr int kApplicationId = 0x4254756e;  // "BTun"
inline constexpr int kSchemaVersion = 2;           // version 0.2 of the programs wrote schema 1

// Throws UnusableDatabase when the file is somebody else's or damaged, NewerDatabase when a newer version wrote it.
// Nothing is written.
void check_identity(Database &database);
// Creates the tables, or brings those of an older version to this one in one transaction each; all rows are kept. Gives
// the version that was found, 0 for a new file.
int migrate(Database &database);

}  // namespace bittern::tuning
