#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <sys/stat.h>

namespace halftone::os {

// What stands between a place and those who may write to it.
struct Permissions {
    struct stat status {};
    std::string access_list;  // "system.posix_acl_access" as the system stores it; empty: none
    std::string problem;      // why the access list could not be read
};

Permissions permissions_of(const std::filesystem::path&);  // of a link itself; std::system_error
Permissions permissions_of(int descriptor);

// Who may write there and is not trusted, as a sentence about `what` ("this file"); "" if nobody.
std::string untrusted_writer(const Permissions&, std::string_view what);
// Who owns it and is not trusted.
std::string untrusted_owner(const Permissions&, std::string_view what);

}  // namespace halftone::os
