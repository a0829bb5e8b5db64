#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace halftone::os {

std::filesystem::path executable();          // of the running binary, links resolved
std::filesystem::path user_data_folder();    // XDG_DATA_HOME or ~/.local/share; empty if unknown
std::filesystem::path user_config_folder();  // XDG_CONFIG_HOME or ~/.config; empty if unknown
std::optional<std::string> environment(const char* name);
unsigned processors();  // that this process may use
uint64_t total_memory();
uint64_t anonymous_memory();  // of this process, in bytes; 0 where the system does not tell
// The most that anonymous_memory() or this function has seen. Linux keeps no such peak itself, so that what
// lies between two calls is missed: call it where memory is at its highest.
uint64_t anonymous_memory_peak();
// Large blocks go back to the system as soon as they are freed, so that what the process holds is what it
// uses.
void return_freed_memory();
double seconds();  // monotonic

bool is_terminal(int descriptor);
int terminal_width(int descriptor);  // 0 if unknown

// Ctrl-C and a polite kill set a flag instead of ending the process; a second one ends it after cleaning up
// the files registered below.
void catch_interrupts();
bool interrupted();
void interrupt();  // sets the flag: nobody is there any more who would read what the process says

// Files that must not outlive this process unless they are finished: removed when it is interrupted twice,
// and when a plugin ends it.
void remove_on_exit(const std::filesystem::path&);
void keep_on_exit(const std::filesystem::path&);
void remove_unfinished() noexcept;  // now; may be called by a signal handler

}  // namespace halftone::os
