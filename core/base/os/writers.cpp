#include "core/base/os/writers.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fmt/format.h>
#include <grp.h>
#include <mutex>
#include <optional>
#include <pwd.h>
#include <set>
#include <sys/xattr.h>
#include <system_error>
#include <unistd.h>
#include <vector>

#include "core/base/os/process.hpp"

namespace halftone::os {

namespace {

constexpr const char* access_list_name = "system.posix_acl_access";

// Root, ourselves, and who could replace the program that is running.
struct Trusted {
    std::set<uid_t> users = {0, ::geteuid()};
    std::set<gid_t> groups;
};

const Trusted& trusted() {
    static const Trusted trusted = [] {
        Trusted found;
        struct stat status {};
        for (std::filesystem::path at = executable();; at = at.parent_path()) {
            const bool known = ::stat(at.c_str(), &status) == 0;
            if (known) found.users.insert(status.st_uid);
            // Where there is an access list, the bit of the group stands for all of it.
            const bool plain = ::getxattr(at.c_str(), access_list_name, nullptr, 0) < 0;
            if (known && plain && (status.st_mode & S_IWGRP) && !(status.st_mode & S_ISVTX))
                found.groups.insert(status.st_gid);
            if (!at.has_relative_path()) return found;
        }
    }();
    return trusted;
}

bool trusts(uid_t user) {
    return trusted().users.contains(user);
}

struct User {
    std::string name;
    gid_t group = 0;
};

std::optional<User> user_of(uid_t id) {
    std::vector<char> text(16384);
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwuid_r(id, &entry, text.data(), text.size(), &found) != 0 || !found) return std::nullopt;
    return User{entry.pw_name, entry.pw_gid};
}

std::string user_name(uid_t id) {
    const auto user = user_of(id);
    return user ? fmt::format("user '{}'", user->name) : fmt::format("user {}", id);
}

struct Group {
    std::string name;
    std::vector<std::string> members;
};

std::optional<Group> group_of(gid_t id) {
    std::vector<char> text(65536);
    struct group entry {};
    struct group* found = nullptr;
    if (::getgrgid_r(id, &entry, text.data(), text.size(), &found) != 0 || !found) return std::nullopt;
    Group group{entry.gr_name, {}};
    for (char** member = entry.gr_mem; *member; ++member)
        group.members.emplace_back(*member);
    return group;
}

std::string group_name(gid_t id) {
    const auto group = group_of(id);
    return group ? fmt::format("group '{}'", group->name) : fmt::format("group {}", id);
}

// Those whose first group it is, which the group's own list does not name.
bool has_only_trusted_users(gid_t group, const std::vector<std::string>& members) {
    static std::mutex mutex;  // of the list of users, of which the process has one
    const std::lock_guard lock(mutex);
    bool only_trusted = true;
    std::set<std::string> unknown(members.begin(), members.end());
    ::setpwent();
    while (const passwd* user = ::getpwent()) {
        const bool member = unknown.erase(user->pw_name) > 0;
        if ((member || user->pw_gid == group) && !trusts(user->pw_uid)) only_trusted = false;
    }
    ::endpwent();
    return only_trusted && unknown.empty();
}

// A group that stands for one user, as most distributions give to everybody: its write bit lets nobody else
// in. Lists of users need not be complete where they come from the network, so a group of another name is not
// taken for one whatever its list says.
bool is_private(gid_t id, uid_t owner) {
    if (trusted().groups.contains(id)) return true;
    const auto user = user_of(owner);
    const auto group = group_of(id);
    const bool own = user && group ? user->group == id && user->name == group->name
                                   : !user && !group && id == static_cast<gid_t>(owner);
    if (!own && id != 0) return false;
    return has_only_trusted_users(id, group ? group->members : std::vector<std::string>());
}

uint32_t number_at(std::string_view bytes, size_t at, size_t length) {
    uint32_t number = 0;
    for (size_t i = 0; i < length; ++i)
        number |= static_cast<uint32_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
    return number;
}

// As the kernel hands it out, in little-endian order: a version, then entries of tag, permissions and id.
class AccessList {
  public:
    explicit AccessList(std::string_view bytes) {
        constexpr size_t header = 4, entry = 8;
        constexpr uint32_t known_version = 2;
        valid_ = bytes.size() >= header && (bytes.size() - header) % entry == 0 &&
                 number_at(bytes, 0, 4) == known_version;
        if (!valid_) return;
        for (size_t at = header; at < bytes.size(); at += entry)
            entries_.push_back(
                {number_at(bytes, at, 2), number_at(bytes, at + 2, 2), number_at(bytes, at + 4, 4)});
        for (const Entry& one : entries_)
            if (one.tag == mask) mask_ = one.permissions;
    }

    std::string untrusted_writer(const struct stat& status, std::string_view what) const {
        if (!valid_) return fmt::format("the access list of {} is of an unknown kind", what);
        constexpr uint32_t may_write = 2;
        for (const Entry& one : entries_) {
            const bool masked = one.tag == named_user || one.tag == group || one.tag == named_group;
            if (!(one.permissions & (masked ? mask_ : ~0u) & may_write)) continue;
            if (one.tag == named_user && !trusts(one.id))
                return fmt::format("{} may write to {} by its access list", user_name(one.id), what);
            if (one.tag == named_group && !is_private(one.id, status.st_uid))
                return fmt::format("{} may write to {} by its access list", group_name(one.id), what);
            if (one.tag == group && !is_private(status.st_gid, status.st_uid))
                return fmt::format("{} may write to {}", group_name(status.st_gid), what);
            if (one.tag == other) return fmt::format("others may write to {}", what);
        }
        return {};
    }

  private:
    enum Tag : uint32_t { named_user = 0x02, group = 0x04, named_group = 0x08, mask = 0x10, other = 0x20 };
    struct Entry {
        uint32_t tag, permissions, id;
    };
    bool valid_ = false;
    std::vector<Entry> entries_;
    uint32_t mask_ = ~0u;
};

// `get` is one of the system's calls for an extended attribute.
template <class Get>
void read_access_list(Permissions& permissions, Get get) {
    std::string bytes(65536, '\0');  // the largest that Linux has
    const ssize_t size = get(bytes.data(), bytes.size());
    if (size >= 0) {
        permissions.access_list = bytes.substr(0, static_cast<size_t>(size));
        return;
    }
    // No list, or a file system without any.
    if (errno == ENODATA || errno == EOPNOTSUPP || errno == ENOSYS) return;
    permissions.problem = std::generic_category().message(errno);
}

}  // namespace

Permissions permissions_of(const std::filesystem::path& path) {
    Permissions permissions;
    if (::lstat(path.c_str(), &permissions.status) != 0)
        throw std::system_error(errno, std::generic_category());
    if (!S_ISLNK(permissions.status.st_mode))
        read_access_list(permissions, [&](char* to, size_t size) {
            return ::lgetxattr(path.c_str(), access_list_name, to, size);
        });
    return permissions;
}

Permissions permissions_of(int descriptor) {
    Permissions permissions;
    if (::fstat(descriptor, &permissions.status) != 0)
        throw std::system_error(errno, std::generic_category());
    read_access_list(permissions, [&](char* to, size_t size) {
        return ::fgetxattr(descriptor, access_list_name, to, size);
    });
    return permissions;
}

std::string untrusted_owner(const Permissions& permissions, std::string_view what) {
    const uid_t owner = permissions.status.st_uid;
    return trusts(owner) ? "" : fmt::format("{} belongs to {}", what, user_name(owner));
}

std::string untrusted_writer(const Permissions& permissions, std::string_view what) {
    const struct stat& status = permissions.status;
    if (!permissions.problem.empty())
        return fmt::format("the access list of {} cannot be read: {}", what, permissions.problem);
    if (status.st_mode & S_IWOTH) return fmt::format("others may write to {}", what);
    if (!permissions.access_list.empty())
        return AccessList(permissions.access_list).untrusted_writer(status, what);
    if ((status.st_mode & S_IWGRP) && !is_private(status.st_gid, status.st_uid))
        return fmt::format("{} may write to {}", group_name(status.st_gid), what);
    return {};
}

}  // namespace halftone::os
